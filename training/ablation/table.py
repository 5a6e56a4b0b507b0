"""The ablation in numbers: every variant, and the curriculum against each of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phybench.runs.cells import Cell, Run, Status
from phybench.statistics.crossed import CrossedDifference, crossed_difference
from phybench.statistics.multiplicity import holm
from phybench.statistics.rates import Rate, arm_rate

from .ablation import DYNAMIC, REFERENCES, STAGE_ONE, Ablation, Training

MEASURES = ("joint", "joint_of_all", "sa", "pc")
"""Rates. ``joint_of_all`` counts what has no score (an unreadable reply, a failed clip) as no
success; the others are shares of the scored items, as in a leaderboard."""
ALPHA = 0.05
Role = Literal["training judge", "hold-out judge"]
COLUMNS = (
    "judge",
    "role",
    "variant",
    "training",
    "n_planned",
    "n_scored",
    "n_unscored",
    "n_failed",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")),
    "reward_clips",
    "hacking",
)
DIFFERENCE_COLUMNS = (
    "judge",
    "role",
    "variant",
    "against",
    "measure",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
    "low_over_prompts",
    "high_over_prompts",
    "spread_of_trainings",
    "by_training",
    "pairs",
    "prompts",
    "unpaired",
)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """One variant by one judge.

    Args:
        variant: Its name; ``identity`` and ``template`` are references.
        judge: Name of the judge.
        role: What the judge was in training.
        cells: One per training.
    """

    variant: str
    judge: str
    role: Role
    cells: tuple[Cell, ...]

    def values(self, measure: str) -> NDArray[np.float64]:
        """Success as 1 and 0, shape (trainings, prompts, repeats), NaN where not counted."""
        return np.stack([_success(cell, measure) for cell in self.cells])

    def rate(self, measure: str) -> Rate:
        """The rate over all trainings, its interval over prompts."""
        return arm_rate(np.concatenate(list(self.values(measure)), axis=1))


@dataclass(frozen=True, slots=True)
class Difference:
    """The curriculum against another variant on one measure.

    Args:
        judge: Name of the judge.
        role: What it was in training.
        against: The other variant.
        measure: One of :data:`MEASURES`.
        result: The difference.
        p_adjusted: Holm-adjusted over the variants of this judge and measure; NaN without a p.
    """

    judge: str
    role: Role
    against: str
    measure: str
    result: CrossedDifference
    p_adjusted: float

    @property
    def verdict(self) -> Literal["beats", "is worse than", "does not beat", "is untested against"]:
        """What may be claimed at the family-wise 5 % level."""
        if math.isnan(self.p_adjusted):
            return "is untested against"
        if self.p_adjusted > ALPHA:
            return "does not beat"
        return "beats" if self.result.difference > 0 else "is worse than"


def outcomes(ablation: Ablation, run: Run) -> tuple[VariantOutcome, ...]:
    """Every variant by every judge, references first, variants in the ablation's order."""
    found = []
    for number, judge in enumerate(run.header["plugins"]["judge"]):
        role: Role = "hold-out judge" if number else "training judge"
        for variant in (*REFERENCES, *ablation.variants):
            names = [variant]
            if variant not in {*REFERENCES, STAGE_ONE}:
                names = [each.arm for each in ablation.of(variant)]
            cells = tuple(_cell(run, name, judge["name"]) for name in names)
            found.append(VariantOutcome(variant, judge["name"], role, cells))
    return tuple(found)


def _cell(run: Run, refiner: str, judge: str) -> Cell:
    return next(cell for name, cell in run.cells.items() if (name[0], name[2]) == (refiner, judge))


def _success(cell: Cell, measure: str) -> NDArray[np.float64]:
    if measure == "joint_of_all":
        return np.nan_to_num(cell.success("joint"), nan=0.0)
    return cell.success(measure)


def differences(found: Sequence[VariantOutcome]) -> tuple[Difference, ...]:
    """The curriculum against every other variant and reference, on every measure."""
    results = []
    for judge in dict.fromkeys(each.judge for each in found):
        own = [each for each in found if each.judge == judge]
        dynamic = next(each for each in own if each.variant == DYNAMIC)
        others = [each for each in own if each.variant != DYNAMIC]
        for measure in MEASURES:
            results += _family(dynamic, others, measure)
    return tuple(results)


def _family(
    dynamic: VariantOutcome, others: Sequence[VariantOutcome], measure: str
) -> list[Difference]:
    values = dynamic.values(measure)
    family = [
        Difference(
            dynamic.judge,
            dynamic.role,
            other.variant,
            measure,
            _within_reach(crossed_difference(values, other.values(measure))),
            math.nan,
        )
        for other in others
    ]
    tested = [each for each in family if not math.isnan(each.result.p_value)]
    adjusted = holm([each.result.p_value for each in tested])
    p_values = {each.against: float(p) for each, p in zip(tested, adjusted, strict=True)}
    return [replace(each, p_adjusted=p_values.get(each.against, math.nan)) for each in family]


def _within_reach(result: CrossedDifference) -> CrossedDifference:
    """Two rates cannot differ by more than 1, which Student's t does not know."""
    low, high = np.clip([result.interval.low, result.interval.high], -1, 1)
    return replace(result, interval=replace(result.interval, low=float(low), high=float(high)))


def rows(
    found: Sequence[VariantOutcome],
    trainings: Sequence[Training],
    facts: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One row per judge, variant and training, and one over all trainings of a variant.

    Args:
        found: The outcomes.
        trainings: The ablation's trainings.
        facts: By arm, what else is known of a training (``reward_clips``, ``hacking``).
    """
    arms = {(each.variant, each.number): each.arm for each in trainings}
    table = []
    for outcome in found:
        if len(outcome.cells) > 1:
            table.append(_row(outcome, "all", {}))
        for number, cell in enumerate(outcome.cells):
            arm = arms.get((outcome.variant, number), "")
            which = str(number) if arm else ""
            table.append(_row(replace(outcome, cells=(cell,)), which, facts.get(arm, {})))
    return table


def _row(outcome: VariantOutcome, training: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    counted = np.stack([cell.status for cell in outcome.cells])
    row: dict[str, Any] = {
        "judge": outcome.judge,
        "role": outcome.role,
        "variant": outcome.variant,
        "training": training,
        "n_planned": counted.size,
        **{
            f"n_{status.name.lower()}": int((counted == status).sum())
            for status in (Status.SCORED, Status.UNSCORED, Status.FAILED)
        },
    }
    for measure in MEASURES:
        rate = outcome.rate(measure)
        row[measure] = number_of(rate.rate)
        row[f"{measure}_low"] = number_of(rate.interval.low)
        row[f"{measure}_high"] = number_of(rate.interval.high)
    return {**row, "reward_clips": facts.get("reward_clips"), "hacking": facts.get("hacking")}


def difference_rows(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as flat rows; rates in 0..1, ``None`` where there is no number."""
    return [
        {
            "judge": each.judge,
            "role": each.role,
            "variant": DYNAMIC,
            "against": each.against,
            "measure": each.measure,
            "difference": number_of(each.result.difference),
            "low": number_of(each.result.interval.low),
            "high": number_of(each.result.interval.high),
            "p": number_of(each.result.p_value),
            "p_adjusted": number_of(each.p_adjusted),
            "low_over_prompts": number_of(each.result.over_prompts.interval.low),
            "high_over_prompts": number_of(each.result.over_prompts.interval.high),
            "spread_of_trainings": number_of(each.result.spread),
            "by_training": " ".join(
                "-" if math.isnan(one) else f"{one:.4f}" for one in each.result.by_training
            ),
            "pairs": each.result.over_prompts.pairs,
            "prompts": each.result.over_prompts.prompts,
            "unpaired": each.result.over_prompts.unpaired,
        }
        for each in found
    ]


def number_of(value: float) -> float | None:
    """A number for a table: rounded, ``None`` for NaN."""
    return None if math.isnan(value) else round(value, _DIGITS)
