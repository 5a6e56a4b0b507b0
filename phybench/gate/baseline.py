"""The frozen baseline: golden prompts, refinements, clip hashes and scores with their replies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.files import read_json, write_text
from phybench.runs.cells import read_header
from phybench.runs.items import ItemKey, JudgedItem, read_items

KIND = "phybench-gate-baseline"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """What the gate will tolerate, fixed when the baseline is recorded and not when it fails.

    Args:
        margin: Largest drop of a rate that is of no consequence, in (0, 1).
        alpha: Chance of a false alarm over all arm checks together.
        judge_tolerance: Largest mean shift of a judge's scores on unchanged clips, in points of
            its scale; 0 demands equal scores clip by clip (deterministic judges).
        parse_failures: Largest share of judgements that may fail.
        min_entropy: Smallest entropy of a judge's scores, in bits.
        max_mode: Largest share of a judge's most frequent score.
    """

    margin: float = 0.05
    alpha: float = 0.01
    judge_tolerance: float = 0.0
    parse_failures: float = 0.01
    min_entropy: float = 0.5
    max_mode: float = 0.8

    def __post_init__(self) -> None:
        for name in ("margin", "alpha", "parse_failures", "max_mode"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"Expected `{name}` to lie between 0 and 1, but got {value}.")
        for name in ("judge_tolerance", "min_entropy"):
            value = getattr(self, name)
            if value < 0:
                raise ConfigError(f"Expected `{name}` to be ≥ 0, but got {value}.")


@dataclass(frozen=True, slots=True)
class Frozen:
    """One item as it was.

    Args:
        refinement: The refined text; ``None`` if refining failed.
        clip: The clip's sha256; ``None`` if there was none.
        scores: By judge: ``status``, ``sa``, ``pc``, ``reply``.
    """

    refinement: str | None
    clip: str | None
    scores: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A frozen run.

    Args:
        policy: What the gate tolerates.
        header: The parts of ``run.json`` that a check needs.
        items: Frozen items by key.
    """

    policy: Policy
    header: Mapping[str, Any]
    items: Mapping[ItemKey, Frozen]


_KEPT = ("simulated", "signatures", "prompts", "seeds", "seed", "settings", "plugins")


def record_baseline(folder: Path, policy: Policy) -> Baseline:
    """Freeze a finished run.

    Raises:
        ConfigError: If the folder holds no run, or one that is not finished or scored nothing.
    """
    header = finished_header(folder)
    items = {item.key: frozen_item(item) for item in read_items(folder)}
    scored = [
        score
        for item in items.values()
        for score in item.scores.values()
        if score["status"] == "scored"
    ]
    if not scored:
        raise ConfigError(f"Expected scores in {str(folder)!r}, but every item failed.")
    kept = {name: header[name] for name in _KEPT}
    kept["prompts"] = {name: header["prompts"][name] for name in ("name", "sha256", "ids")}
    return Baseline(policy, kept, items)


def finished_header(folder: Path) -> dict[str, Any]:
    """The header of a run that is done.

    Raises:
        ConfigError: If it is not.
    """
    header = read_header(folder)
    if header["status"] != "done":
        raise ConfigError(
            f"Expected a finished run in {str(folder)!r}, but it is {header['status']!r}. "
            "Run the same `phybench run` again to finish it."
        )
    return header


def frozen_item(item: JudgedItem) -> Frozen:
    """An item cut to what a baseline holds."""
    return Frozen(
        item.refinement["text"] if item.refinement else None,
        item.clip["sha256"] if item.clip else None,
        {judge: _frozen_score(row) for judge, row in item.scores.items()},
    )


def _frozen_score(row: Mapping[str, Any]) -> dict[str, Any]:
    """A failure's reply lies in its error; the judge's parser has read it if the kind says so."""
    if "reply" in row:
        reply = row["reply"]
    else:
        reply = row["error"].get("reply", "") if row["error"]["kind"] == "parse" else ""
    return {"status": row["status"], "sa": row["sa"], "pc": row["pc"], "reply": reply}


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline, one item per line so that changes are readable in a diff.

    Raises:
        StorageError: If the disk refuses the write.
    """
    head = {
        "kind": KIND,
        "schema_version": VERSION,
        "policy": asdict(baseline.policy),
        "run": dict(baseline.header),
    }
    lines = ",\n".join(
        json.dumps([*key, item.refinement, item.clip, item.scores], ensure_ascii=False)
        for key, item in baseline.items.items()
    )
    start = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    write_text(path, f'{start},\n "items": [\n{lines}\n]}}\n')


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        ConfigError: If the file is none, is of another schema, or is damaged.
    """
    value = read_json(path)
    if value.get("kind") != KIND or value.get("schema_version") != VERSION:
        raise ConfigError(
            f"Expected a gate baseline of schema version {VERSION} in {str(path)!r}, but got "
            f"{value.get('kind')!r} version {value.get('schema_version')!r}. Make one with "
            "`phybench gate record RUN -o FILE`."
        )
    try:
        items = {
            (prompt, k, refiner, generator): Frozen(refinement, clip, scores)
            for prompt, k, refiner, generator, refinement, clip, scores in value["items"]
        }
        return Baseline(Policy(**value["policy"]), value["run"], items)
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"The gate baseline {str(path)!r} is damaged: {error!r}.") from error
