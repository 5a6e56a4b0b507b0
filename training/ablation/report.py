"""The ablation for readers: csv, a page that says what the numbers carry, and the plots."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phybench.compare.sentences import p_text
from phybench.errors import ConfigError
from phybench.gate.training_log import check_log, read_log
from phybench.machine.environment import describe_environment
from phybench.machine.files import read_jsonl, write_text
from phybench.publish.text import SIMULATED, csv_text, escape_markdown
from phybench.runs.cells import Run
from phybench.statistics.crossed import ONE_TRAINING
from phybench.statistics.rates import Rate

from ..setup import WORK
from .ablation import (
    DYNAMIC,
    REFERENCES,
    VARIANTS,
    Ablation,
    Training,
    foreign_test_set,
)
from .table import (
    COLUMNS,
    DIFFERENCE_COLUMNS,
    Difference,
    VariantOutcome,
    difference_rows,
    differences,
    outcomes,
    rows,
)

_NAMES = {
    "joint": "joint success",
    "joint_of_all": "joint success, an item without a score counting as none",
    "sa": "SA",
    "pc": "PC",
}
_SHOWN_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "numpy")


def write_ablation_report(
    ablation: Ablation, run: Run, argv: Sequence[str]
) -> tuple[Difference, ...]:
    """Write ``ablation.csv``, ``differences.csv``, ``ablation.md`` and the plots.

    Args:
        ablation: What was done.
        run: All arms, from :func:`.ablation.run_ablation`.
        argv: The command line, for the page.

    Returns:
        The differences.

    Raises:
        StorageError: If the disk refuses a write.
    """
    from .plots import draw_ablation_plots

    found = outcomes(ablation, run)
    compared = differences(found)
    facts = {training.arm: training_facts(training) for training in ablation.trainings}
    table = rows(found, ablation.trainings, facts)
    write_text(ablation.folder / "ablation.csv", csv_text(COLUMNS, table))
    write_text(
        ablation.folder / "differences.csv",
        csv_text(DIFFERENCE_COLUMNS, difference_rows(compared)),
    )
    draw_ablation_plots(
        ablation, found, ablation.folder / "plots", simulated=run.header["simulated"]
    )
    page = ablation_markdown(ablation, run, found, compared, facts, argv)
    write_text(ablation.folder / "ablation.md", page)
    return compared


def training_facts(training: Training) -> dict[str, Any]:
    """What a training cost in clips, and whether its log looks like reward hacking."""
    work = training.recipe.final / WORK
    clips = {
        row["clip"]
        for path in sorted(work.glob("rewards-rank*.jsonl"))
        for row in read_jsonl(path)
        if row["split"] == "train" and row.get("clip")
    }
    return {"reward_clips": len(clips), "hacking": _hacking(work / "log.jsonl")}


def _hacking(log: Path) -> str:
    try:
        findings = check_log(read_log(log))
    except ConfigError:
        return "no log"
    found = [each.outcome.value for each in findings if each.name == "reward hacking"]
    return found[0] if found else "too short to tell"


def ablation_markdown(
    ablation: Ablation,
    run: Run,
    found: Sequence[VariantOutcome],
    compared: Sequence[Difference],
    facts: Mapping[str, Mapping[str, Any]],
    argv: Sequence[str],
) -> str:
    """The page."""
    lines = [f"# Ablation of {escape_markdown(ablation.name)}", ""]
    if run.header["simulated"]:
        lines += [SIMULATED, ""]
    lines += [*conclusions(compared), ""]
    for judge in dict.fromkeys(each.judge for each in found):
        own = [each for each in found if each.judge == judge]
        lines += _variant_table(own, ablation, facts)
        lines += _difference_table([each for each in compared if each.judge == judge])
    lines += _legend(ablation)
    lines += ["![Reward curves](plots/rewards.png)", "", "![Joint success](plots/joint.png)", ""]
    return "\n".join([*lines, *_made_by(ablation, run, argv)])


def conclusions(compared: Sequence[Difference]) -> list[str]:
    """What may be claimed on joint success, one sentence per judge and variant.

    Where it matters that items without a score are left out, a second sentence counts them in.
    """
    of_scored = {(each.judge, each.against): each for each in compared if each.measure == "joint"}
    return [
        f"- By `{each.judge}` ({each.role}), {DYNAMIC} **{each.verdict}** {each.against} on "
        f"{_NAMES[each.measure]}: {_points(each)}{_reservation(each)}"
        for each in compared
        if each.measure == "joint"
        or (
            each.measure == "joint_of_all"
            and each.verdict != of_scored[each.judge, each.against].verdict
        )
    ]


def _points(each: Difference) -> str:
    result = each.result
    if math.isnan(result.difference):
        return "no item was scored in both."
    inner = result.over_prompts.interval
    within = f"[{100 * inner.low:+.1f}, {100 * inner.high:+.1f}] over prompts alone"
    if math.isnan(result.interval.low):
        return f"{100 * result.difference:+.1f} points, {within}."
    low, high = 100 * result.interval.low, 100 * result.interval.high
    return (
        f"{100 * result.difference:+.1f} points [{low:+.1f}, {high:+.1f}] over prompts and "
        f"trainings, p {p_text(each.p_adjusted)} (Holm); {within}."
    )


def _reservation(each: Difference) -> str:
    if each.result.interval.method == ONE_TRAINING:
        return " One training says nothing of another, so nothing is claimed."
    missing = each.result.over_prompts.unpaired
    return f" {missing} items were scored in one of the two only." if missing else ""


def _variant_table(
    own: Sequence[VariantOutcome], ablation: Ablation, facts: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    lines = [
        f"## `{own[0].judge}`, the {own[0].role}",
        "",
        "| variant | SA % | PC % | joint % | joint by training | joint of all % | scored "
        "| reward clips | log |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for outcome in own:
        each_training = [100 * float(_mean(one)) for one in outcome.values("joint")]
        cells = (
            _title(outcome.variant),
            *(_percent(outcome.rate(measure)) for measure in ("sa", "pc", "joint")),
            ", ".join("–" if math.isnan(one) else f"{one:.1f}" for one in each_training),
            _percent(outcome.rate("joint_of_all")),
            f"{int(outcome.rate('joint').n)}/{outcome.values('joint').size}",
            *_of_trainings(ablation.of(outcome.variant), facts),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _mean(values: Any) -> float:
    import numpy as np

    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def _title(variant: str) -> str:
    if variant in REFERENCES:
        return f"{variant} (reference)"
    return f"{variant}: {VARIANTS[variant].what}"


def _percent(rate: Rate) -> str:
    if math.isnan(rate.rate):
        return "–"
    return f"{100 * rate.rate:.1f} [{100 * rate.interval.low:.1f}, {100 * rate.interval.high:.1f}]"


def _of_trainings(
    trainings: Sequence[Training], facts: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    if not trainings:
        return "–", "–"
    own = [facts[each.arm] for each in trainings]
    looks = sorted({str(fact["hacking"]) for fact in own})
    return ", ".join(str(fact["reward_clips"]) for fact in own), ", ".join(looks)


def _difference_table(compared: Sequence[Difference]) -> list[str]:
    lines = [
        f"| {DYNAMIC} against | measure | points, over prompts and trainings | over prompts alone "
        "| by training | p (Holm) |",
        "|---|---|---|---|---|---|",
    ]
    for each in compared:
        result = each.result
        inner = result.over_prompts.interval
        cells = (
            each.against,
            _NAMES[each.measure],
            f"{_point(result.difference)} {_ends(result.interval.low, result.interval.high)}",
            _ends(inner.low, inner.high),
            ", ".join(_point(one) for one in result.by_training),
            "–" if math.isnan(each.p_adjusted) else p_text(each.p_adjusted),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _point(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _ends(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _legend(ablation: Ablation) -> list[str]:
    recipe = ablation.recipe
    return [
        f"All variants: {ablation.training_seeds} training(s) of {recipe.grpo.steps} steps with "
        f"{recipe.grpo.prompts_per_step} prompts × {recipe.grpo.group} replies, the same prompts, "
        "clip seeds and start; *reward clips* counts the distinct clips that were made for them "
        "(equal and unreadable replies cost none). Stage 1 was trained once, so its own spread is "
        "in no interval. Rates are over the scored items with 95 % intervals over prompts; *joint "
        "of all* counts an item without a score as no success. Differences are paired by training, "
        "prompt and clip seed. The interval *over prompts and trainings* is for what another "
        "training on other prompts would give, and claims rest on it; that *over prompts alone* "
        "is for these checkpoints. *log*: the gate's test for the signature of reward hacking.",
        "",
    ]


def _made_by(ablation: Ablation, run: Run, argv: Sequence[str]) -> list[str]:
    here = describe_environment()
    packages = ", ".join(
        f"{name} {version}" for name, version in here["packages"].items() if name in _SHOWN_PACKAGES
    )
    prompts = run.header["prompts"]
    commit = (here["git"] or {}).get("commit", "no checkout")
    return [
        "## How this was made",
        "",
        f"- Command: `{shlex.join([Path(argv[0]).name, *argv[1:]])}`",
        f"- phybench {here['phybench']} ({commit}), Python {here['python']}, {packages}",
        f"- Test set: {prompts['name']}#{prompts['sha256'][:8]}, {len(prompts['ids'])} prompts × "
        f"{ablation.seeds} clips, run seed {ablation.recipe.seed}",
        *([f"- {foreign_test_set(ablation)}"] if foreign_test_set(ablation) else []),
        f"- Training seeds: {', '.join(str(each.recipe.seed) for each in ablation.of(DYNAMIC))}",
        *(f"- `{signature}`" for signature in run.header["signatures"].values()),
        "",
    ]
