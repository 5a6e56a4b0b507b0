"""From pairs of cells to differences, with one Holm family per measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phybench.compare.pairing import Pair, Side
from phybench.runs.cells import Cell
from phybench.statistics.multiplicity import holm
from phybench.statistics.paired import PairedDifference, paired_difference
from phybench.statistics.power import minimum_detectable_effect
from phybench.statistics.rates import arm_mean

RATES = ("joint", "sa", "pc")
MEANS = ("sa_mean", "pc_mean")
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of one arm against its baseline.

    Args:
        arm: The arm.
        baseline: What it is compared with.
        measure: ``joint``, ``sa``, ``pc`` (rates in 0..1), ``sa_mean`` or ``pc_mean`` (the judge's
            scale).
        value: The arm's value on the paired items.
        baseline_value: The baseline's value on the same items.
        result: The paired difference with its interval and test.
        p_adjusted: Holm-adjusted over all comparisons of this measure.
        detectable: Joint only: the smallest true difference that these items show with 80 % power;
            NaN if not even the largest possible one.
    """

    arm: Side
    baseline: Side
    measure: str
    value: float
    baseline_value: float
    result: PairedDifference
    p_adjusted: float
    detectable: float = math.nan

    @property
    def significant(self) -> bool:
        """Whether the difference is more than noise at the family-wise 5 % level."""
        return self.p_adjusted <= ALPHA


def compare_pairs(
    pairs: Sequence[Pair], *, level: float = 0.95, seed: int = 0
) -> tuple[Comparison, ...]:
    """Compare every pair on every measure.

    Args:
        pairs: Comparable pairs.
        level: Confidence level of the intervals.
        seed: Seed of the bootstrap.

    Returns:
        Comparisons, measure by measure, within a measure in the order of the pairs.
    """
    found: list[Comparison] = []
    for measure in (*RATES, *MEANS):
        family = [_one(pair, measure, level, seed) for pair in pairs]
        adjusted = holm([each.result.p_value for each in family])
        found += [
            replace(each, p_adjusted=float(p)) for each, p in zip(family, adjusted, strict=True)
        ]
    return tuple(found)


def values(cell: Cell, measure: str) -> NDArray[np.float64]:
    """A cell's values of a measure, shape (prompts, repeats), NaN where not scored."""
    if measure in RATES:
        return cell.success(measure)
    return cell.sa if measure == "sa_mean" else cell.pc


def _one(pair: Pair, measure: str, level: float, seed: int) -> Comparison:
    arm, baseline = (values(side.cell, measure) for side in (pair.arm, pair.baseline))
    scale = pair.arm.cell.scale
    unit = 1.0 if measure in RATES else (scale.high - scale.low) / 4
    result = paired_difference(arm, baseline, unit=unit, level=level, seed=seed)
    both = np.isfinite(arm) & np.isfinite(baseline)
    return Comparison(
        pair.arm,
        pair.baseline,
        measure,
        arm_mean(np.where(both, arm, np.nan)).mean,
        arm_mean(np.where(both, baseline, np.nan)).mean,
        result,
        p_adjusted=result.p_value,
        detectable=_detectable(result, arm - baseline) if measure == "joint" else math.nan,
    )


def _detectable(result: PairedDifference, gaps: NDArray[np.float64]) -> float:
    discordant = result.wins + result.losses
    if not discordant:
        return math.nan
    spread = float(np.nanvar(gaps))
    independent = math.sqrt(spread / result.pairs)
    effect = max(1.0, (arm_mean(gaps).standard_error / independent) ** 2) if independent else 1.0
    if math.isnan(effect):
        return math.nan
    pairs = max(1, round(result.pairs / effect))
    return minimum_detectable_effect(pairs, discordant / result.pairs)
