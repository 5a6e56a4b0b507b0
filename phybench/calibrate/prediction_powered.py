"""Rates on the human scale from few human labels and many judge scores.

Prediction-powered inference with power tuning (PPI++; Angelopoulos, Duchi and Zrnic 2023, the case
of a mean): the judge's mean on all clips, corrected by how far people and judge differ where both
scored. It is unbiased however bad the judge is; a bad judge only gets little weight. Ours and not
`ppi-python`, because prompts with several clips are clusters and labelled and unlabelled clips may
share a prompt, which that package's intervals do not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phybench.statistics.interval import Interval, student_quantile, undefined
from phybench.statistics.rates import Rate, arm_rate, as_arm

FEWEST_LABELLED = 10
"""Labelled prompts below which no interval is given."""


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """A success rate on the human scale.

    Args:
        rate: The estimate, in [0, 1].
        interval: Its interval, prompts as clusters.
        labels_only: The same from the human labels alone.
        judge_only: The judge's own rate on all clips, uncorrected.
        weight: Weight of the judge (lambda) in 0..1; 0 ignores it.
        labelled: Clips with both scores.
        unlabelled: Clips with the judge's score only.
    """

    rate: float
    interval: Interval
    labels_only: Rate
    judge_only: Rate
    weight: float
    labelled: int
    unlabelled: int


def corrected_rate(human: ArrayLike, judge: ArrayLike, level: float = 0.95) -> CorrectedRate:
    """Estimate an arm's human success rate.

    Labelled clips must be a random sample of the arm's clips (or of its prompts).

    Args:
        human: Shape (P, K), 1 or 0 by people, NaN where not labelled.
        judge: Shape (P, K), 1 or 0 (or a probability) by the judge, NaN where not scored. Clips
            that only people scored are left out of the correction.
        level: Two-sided confidence level.
    """
    y, f = as_arm(human), as_arm(judge)
    labelled = np.isfinite(y) & np.isfinite(f)
    rest = np.isfinite(f) & ~np.isfinite(y)
    alone, uncorrected = arm_rate(y, level), arm_rate(f, level)
    n, free = int(labelled.sum()), int(rest.sum())
    prompts = int(labelled.any(axis=1).sum())
    if prompts < FEWEST_LABELLED or not free:
        reason = f"{prompts} labelled prompts" if free else "every clip is labelled"
        value = alone.rate if not free else math.nan
        interval = alone.interval if not free else undefined(level, reason)
        return CorrectedRate(value, interval, alone, uncorrected, 0.0, n, free)
    own = _influence(y, labelled)
    gap = _influence(f, rest) - _influence(f, labelled)
    weight = _weight(own, gap)
    rate = float(y[labelled].mean() + weight * (f[rest].mean() - f[labelled].mean()))
    clusters = int((labelled | rest).any(axis=1).sum())
    spread = float(((own + weight * gap) ** 2).sum()) * clusters / (clusters - 1)
    half = student_quantile(level, prompts - 1) * math.sqrt(spread)
    interval = Interval(max(0.0, rate - half), min(1.0, rate + half), level, "PPI++ over prompts")
    return CorrectedRate(min(max(rate, 0.0), 1.0), interval, alone, uncorrected, weight, n, free)


def _influence(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Per prompt, what it adds to the deviation of the chosen clips' mean."""
    mean = values[chosen].mean()
    shares = np.where(chosen, values - mean, 0.0) / int(chosen.sum())
    return np.asarray(shares.sum(axis=1))


def _weight(own: NDArray[np.float64], gap: NDArray[np.float64]) -> float:
    """The weight that makes the variance smallest, kept in 0..1."""
    spread = float(gap @ gap)
    return min(max(-float(own @ gap) / spread, 0.0), 1.0) if spread > 0 else 0.0
