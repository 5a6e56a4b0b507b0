"""A run against a baseline: all checks in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.gate.baseline import Baseline, Frozen, finished_header, frozen_item
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.gate.health import health
from phybench.gate.levels import arm_level, judge_level, parser_level, refinement_changes
from phybench.plugins.contracts import Failure, JudgeRequest, Score
from phybench.plugins.opened import Opened
from phybench.plugins.registry import open_rereader
from phybench.plugins.spec import PluginSpec, make_spec
from phybench.runs.items import ItemKey, JudgedItem, clip_of, read_items
from phybench.units.codec import Value
from phybench.units.perform import perform
from phybench.units.unit import Unit
from phybench.workers.opening import open_plugin

_BATCH = 64


def check_run(baseline: Baseline, folder: Path, *, rejudge: bool = False) -> list[GateFinding]:
    """Check a finished run of the baseline's prompts and seeds.

    Args:
        baseline: The frozen run.
        folder: The run to check.
        rejudge: Judge the golden clips again in this process instead of trusting the run's scores,
            which may come from the cache.

    Raises:
        ConfigError: If the run is not finished, or has other prompts or seeds.
    """
    header = finished_header(folder)
    _check_same_items(baseline.header, header)
    judged = read_items(folder)
    specs = _specs(header)
    items = {item.key: frozen_item(item) for item in judged}
    if rejudge:
        judges = {name: open_plugin("judge", spec) for name, spec in specs.items()}
        items = _rejudged(baseline, judged, items, judges)
    findings = [
        parser_level(baseline, name, open_rereader(specs[name])) for name in _names(baseline.header)
    ]
    findings += _judge_findings(baseline, header, items)
    unproven = any(each.level == "judge" and each.outcome != CheckOutcome.OK for each in findings)
    changed = _changed_judges(baseline.header, header)
    findings += health(baseline, items)
    findings += refinement_changes(baseline, items)
    if changed and unproven:
        message = (
            f"Not tested: judge {', '.join(changed)} changed and is not shown to score as before."
        )
        return [*findings, GateFinding("arm", "arms", CheckOutcome.BLOCKED, message)]
    return [*findings, *arm_level(baseline, items)]


def _check_same_items(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in ("seeds", "seed", "settings"):
        if before[name] != after[name]:
            raise ConfigError(
                f"Expected the baseline's {name} ({before[name]}), but the run has {after[name]}."
            )
    if before["prompts"]["sha256"] != after["prompts"]["sha256"]:
        raise ConfigError(
            f"Expected the baseline's prompts ({before['prompts']['name']}, "
            f"{len(before['prompts']['ids'])}), but the run has others. Run it on the same set."
        )
    missing = sorted(set(_names(before)) - set(_names(after)))
    if missing:
        raise ConfigError(
            f"Expected the baseline's judges, but the run lacks {', '.join(missing)}."
        )


def _names(header: Mapping[str, Any]) -> list[str]:
    return [judge["name"] for judge in header["plugins"]["judge"]]


def _prints(header: Mapping[str, Any]) -> dict[str, str]:
    return {judge["name"]: judge["fingerprint_sha256"] for judge in header["plugins"]["judge"]}


def _specs(header: Mapping[str, Any]) -> dict[str, PluginSpec]:
    return {
        judge["name"]: replace(make_spec(judge["plugin"], judge["options"]), label=judge["name"])
        for judge in header["plugins"]["judge"]
    }


def _changed_judges(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    now = _prints(after)
    return [name for name, digest in _prints(before).items() if now[name] != digest]


def _judge_findings(
    baseline: Baseline, header: Mapping[str, Any], items: Mapping[ItemKey, Frozen]
) -> Iterator[GateFinding]:
    changed = _changed_judges(baseline.header, header)
    for name in _names(baseline.header):
        yield judge_level(baseline, name, items, due=name in changed)


def _rejudged(
    baseline: Baseline,
    judged: Sequence[JudgedItem],
    items: Mapping[ItemKey, Frozen],
    judges: Mapping[str, Opened],
) -> dict[ItemKey, Frozen]:
    """The items with fresh scores for every golden clip."""
    golden = [
        item
        for item in judged
        if item.clip is not None
        and item.key in baseline.items
        and baseline.items[item.key].clip == item.clip["sha256"]
    ]
    fresh = {key: dict(item.scores) for key, item in items.items()}
    for name, opened in judges.items():
        for start in range(0, len(golden), _BATCH):
            batch = golden[start : start + _BATCH]
            for item, result in zip(batch, _scores(opened, batch), strict=True):
                fresh[item.key][name] = _score_row(result)
    return {key: replace(item, scores=fresh[key]) for key, item in items.items()}


def _scores(opened: Opened, batch: Sequence[JudgedItem]) -> list[Value]:
    units = []
    for item in batch:
        clip = clip_of(item)
        if clip is not None:
            units.append(Unit(str(item.index), "judge", JudgeRequest(clip, item.prompt)))
    return perform("judge", opened.plugin, units, Path())


def _score_row(result: Value) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {"status": "failed", "sa": None, "pc": None, "reply": result.reply}
    if not isinstance(result, Score):
        raise TypeError(f"Expected a score, but got {type(result).__name__}.")
    status = "unscored" if result.sa is None else "scored"
    return {"status": status, "sa": result.sa, "pc": result.pc, "reply": result.reply}
