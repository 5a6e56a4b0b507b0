"""Comparisons as sentences, tables, csv and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from phybench.compare.differences import ALPHA, MEANS, RATES, Comparison

COLUMNS = (
    "refiner",
    "generator",
    "judge",
    "run",
    "baseline_refiner",
    "baseline_generator",
    "baseline_run",
    "measure",
    "value",
    "baseline_value",
    "difference",
    "low",
    "high",
    "level",
    "p",
    "p_adjusted",
    "wins",
    "losses",
    "ties",
    "pairs",
    "prompts",
    "unpaired",
    "detectable",
)
_NAMES = {
    "joint": "joint success",
    "sa": "semantic adherence",
    "pc": "physical commonsense",
    "sa_mean": "the mean SA score",
    "pc_mean": "the mean PC score",
}
_DIGITS = 6


def difference_row(comparison: Comparison) -> dict[str, Any]:
    """A comparison as one flat row; rates in 0..1, ``None`` where there is no number."""
    result, arm, baseline = comparison.result, comparison.arm, comparison.baseline
    return {
        "refiner": arm.cell.refiner,
        "generator": arm.cell.generator,
        "judge": arm.cell.judge,
        "run": arm.run.folder.name,
        "baseline_refiner": baseline.cell.refiner,
        "baseline_generator": baseline.cell.generator,
        "baseline_run": baseline.run.folder.name,
        "measure": comparison.measure,
        "value": _number(comparison.value),
        "baseline_value": _number(comparison.baseline_value),
        "difference": _number(result.difference),
        "low": _number(result.interval.low),
        "high": _number(result.interval.high),
        "level": result.interval.level,
        "p": result.p_value,
        "p_adjusted": comparison.p_adjusted,
        "wins": result.wins,
        "losses": result.losses,
        "ties": result.ties,
        "pairs": result.pairs,
        "prompts": result.prompts,
        "unpaired": result.unpaired,
        "detectable": _number(comparison.detectable),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, _DIGITS)


def sentence(comparison: Comparison) -> str:
    """What a comparison says, in words that do not claim more than the test."""
    result = comparison.result
    who = f"{_subject(comparison)} ({comparison.arm.cell.generator}, {comparison.arm.cell.judge})"
    if not result.pairs:
        return f"{who}: no item was scored on both sides."
    numbers = f"{_amount(comparison)} {_interval(comparison)}"
    evidence = (
        f"{result.wins} wins, {result.losses} losses, {result.ties} ties on {result.prompts} "
        f"prompts, adjusted p {p_text(comparison.p_adjusted)}"
    )
    what = _NAMES[comparison.measure]
    if comparison.significant:
        verb = "raises" if result.difference > 0 else "lowers"
        return f"{who} {verb} {what} by {numbers}; {evidence}."
    return f"{who} cannot be told apart on {what}: {numbers}; {evidence}.{_missed(comparison)}"


def _subject(comparison: Comparison) -> str:
    arm, baseline = comparison.arm, comparison.baseline
    if arm.run is not baseline.run and arm.arm == baseline.arm:
        return f"{arm.cell.refiner} in {arm.run.folder.name} against {baseline.run.folder.name}"
    if arm.cell.generator != baseline.cell.generator:
        return f"{arm.cell.refiner} against {baseline.arm}"
    return f"{arm.cell.refiner} against {baseline.cell.refiner}"


def _amount(comparison: Comparison) -> str:
    difference = comparison.result.difference
    if comparison.measure in MEANS:
        return f"{difference:+.2f}"
    return f"{100 * difference:+.1f} points"


def _interval(comparison: Comparison) -> str:
    interval = comparison.result.interval
    factor, digits = (1, 2) if comparison.measure in MEANS else (100, 1)
    return f"[{factor * interval.low:+.{digits}f}, {factor * interval.high:+.{digits}f}]"


def _missed(comparison: Comparison) -> str:
    if comparison.measure != "joint" or math.isnan(comparison.detectable):
        return ""
    return (
        f" A true difference of less than {100 * comparison.detectable:.1f} points would be "
        "missed here more often than one time in five."
    )


def p_text(p: float) -> str:
    """A p-value to two significant digits."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def difference_table(comparisons: Sequence[Comparison]) -> str:
    """Comparisons as a Markdown table, joint first."""
    lines = [
        "| arm | baseline | judge | measure | value | difference | p (Holm) | win/loss/tie |",
        "|---|---|---|---|---|---|---|---|",
    ]
    several = len({each.arm.run.folder for each in comparisons}) > 1 or any(
        each.arm.run is not each.baseline.run for each in comparisons
    )
    for each in comparisons:
        result = each.result
        mark = " *" if each.significant else ""
        cells = (
            each.arm.name if several else each.arm.arm,
            each.baseline.name if several else each.baseline.arm,
            each.arm.cell.judge,
            each.measure,
            _value(each),
            f"{_amount(each)} {_interval(each)}{mark}" if result.pairs else "–",
            p_text(each.p_adjusted),
            f"{result.wins}/{result.losses}/{result.ties}",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _value(comparison: Comparison) -> str:
    if math.isnan(comparison.value):
        return "–"
    if comparison.measure in RATES:
        return f"{100 * comparison.value:.1f} %"
    return f"{comparison.value:.2f}"


def legend(level: float) -> str:
    """What the table's columns mean."""
    return (
        f"Paired by prompt and repeat; {100 * level:g} % BCa bootstrap intervals over prompts; "
        "p from the exact sign-flip test over prompts (exact McNemar for one seed), Holm-adjusted "
        f"over the arms of each measure; * significant at {ALPHA:g}."
    )
