"""Differences between two arms on the same prompts and seeds, with bootstrap intervals.

The bootstrap is bias-corrected and accelerated (BCa; Efron 1987), resamples prompts, and is seeded:
the same records give the same interval. It works on sufficient statistics: how often each distinct
(sum of differences, number of pairs) occurs among the prompts. For 1..5 scores there are a few
dozen of them however many prompts there are, so resampling is one multinomial draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phybench.statistics.interval import Interval, check_level, normal_quantile, undefined
from phybench.statistics.mcnemar import sign_flip_test
from phybench.statistics.rates import as_arm

RESAMPLES = 10_000
"""Bootstrap resamples: the ends of a 95 % interval then wobble by about 1 % of its width."""
_CHUNK = 2_000_000
_MULTINOMIAL_COST = 8
"""About how many drawn indices one multinomial category costs in time."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much higher the first arm scores than the second on the same items.

    Args:
        difference: Mean difference over paired items; NaN without pairs.
        interval: BCa bootstrap interval over prompts.
        standard_error: Bootstrap standard error.
        p_value: Exact sign-flip test over prompts (exact McNemar for one seed and yes/no scores).
        pairs: Items scored in both arms.
        prompts: Prompts with at least one such item.
        wins: Pairs where the first arm scores higher.
        losses: Pairs where it scores lower.
        ties: Pairs with equal scores.
        unpaired: Items scored in one arm only, left out.
    """

    difference: float
    interval: Interval
    standard_error: float
    p_value: float
    pairs: int
    prompts: int
    wins: int
    losses: int
    ties: int
    unpaired: int


def paired_difference(
    arm: ArrayLike,
    baseline: ArrayLike,
    *,
    span: float = 1.0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """Compare two arms item by item, with prompts as the unit.

    Args:
        arm: Shape (P, K), NaN where not scored.
        baseline: Same shape and prompt order.
        span: Largest possible difference (1 for yes/no, 4 for 1..5); used where all differences
            are equal and there is nothing to resample.
        level: Two-sided confidence level.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        ValueError: If the shapes differ.
    """
    first, second = as_arm(arm), as_arm(baseline)
    if first.shape != second.shape:
        raise ValueError(
            "Expected two arms of one shape (prompts, seeds), "
            f"but got {first.shape} and {second.shape}."
        )
    gaps = first - second
    paired = np.isfinite(gaps)
    unpaired = int((np.isfinite(first) != np.isfinite(second)).sum())
    sizes = paired.sum(axis=1)
    totals = np.where(paired, gaps, 0.0).sum(axis=1)[sizes > 0]
    sizes = sizes[sizes > 0]
    pairs, prompts = int(sizes.sum()), len(sizes)
    wins, losses = int((gaps[paired] > 0).sum()), int((gaps[paired] < 0).sum())
    if not pairs:
        return PairedDifference(
            math.nan, undefined(level, "no pairs"), math.nan, 1.0, 0, 0, 0, 0, 0, unpaired
        )
    interval, error = bootstrap_ratio(
        totals, sizes, span=span, level=level, resamples=resamples, seed=seed
    )
    return PairedDifference(
        difference=float(totals.sum() / pairs),
        interval=interval,
        standard_error=error,
        p_value=sign_flip_test(totals, seed=seed),
        pairs=pairs,
        prompts=prompts,
        wins=wins,
        losses=losses,
        ties=pairs - wins - losses,
        unpaired=unpaired,
    )


def bootstrap_ratio(
    totals: ArrayLike,
    sizes: ArrayLike,
    *,
    span: float = 1.0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, float]:
    """BCa interval and standard error of sum(totals) / sum(sizes), resampling clusters.

    Args:
        totals: Shape (P,), each prompt's sum.
        sizes: Shape (P,), how many values each sum has, >= 1.
        span: Largest possible absolute value of one item.
        level: Two-sided confidence level.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
    """
    check_level(level)
    table = np.column_stack([np.asarray(totals, float), np.asarray(sizes, float)])
    distinct, counts = np.unique(table, axis=0, return_counts=True)
    estimate = float(table[:, 0].sum() / table[:, 1].sum())
    ratios = distinct[:, 0] / distinct[:, 1]
    if np.ptp(ratios) == 0:
        return _without_variation(estimate, len(table), span, level), 0.0
    draws = _resampled_ratios(distinct, counts, resamples, np.random.default_rng(seed))
    acceleration = _acceleration(distinct, counts)
    low, high = _bca_ends(draws, estimate, acceleration, level)
    return Interval(low, high, level, "BCa bootstrap over prompts"), float(draws.std(ddof=1))


def _without_variation(estimate: float, prompts: int, span: float, level: float) -> Interval:
    """Where all prompts differ by the same amount, a bootstrap interval would have no width.

    The half-width is that of Tango's (1998) score interval for no discordant pair, scaled to the
    span: what n equal prompts leave possible.
    """
    squared = normal_quantile(level) ** 2
    half = span * squared / (prompts + squared)
    low, high = max(-span, estimate - half), min(span, estimate + half)
    return Interval(low, high, level, "score interval: all prompts differ equally")


def _resampled_ratios(
    distinct: NDArray[np.float64],
    counts: NDArray[np.int64],
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    prompts = int(counts.sum())
    few = len(counts) * _MULTINOMIAL_COST < prompts
    rows = max(1, _CHUNK // (len(counts) if few else prompts))
    parts = []
    for start in range(0, resamples, rows):
        take = min(rows, resamples - start)
        if few:
            sums = rng.multinomial(prompts, counts / prompts, size=take) @ distinct
        else:
            picked = rng.choice(np.repeat(np.arange(len(counts)), counts), (take, prompts))
            sums = distinct[picked].sum(axis=1)
        parts.append(sums[:, 0] / sums[:, 1])
    return np.concatenate(parts)


def _acceleration(distinct: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Skewness of the leave-one-prompt-out estimates, divided by six (Efron 1987, eq. 6.6)."""
    sums = counts @ distinct
    left = sums - distinct
    if np.any(left[:, 1] == 0):
        return 0.0
    jackknife = left[:, 0] / left[:, 1]
    gaps = np.average(jackknife, weights=counts) - jackknife
    spread = float(counts @ gaps**2)
    return float(counts @ gaps**3) / (6 * spread**1.5) if spread > 0 else 0.0


def _bca_ends(
    draws: NDArray[np.float64], estimate: float, acceleration: float, level: float
) -> tuple[float, float]:
    normal = NormalDist()
    # Half of the ties count as below, because resampled rates fall on the estimate itself.
    below = float((draws < estimate).mean() + (draws == estimate).mean() / 2)
    edge = 0.5 / len(draws)
    bias = normal.inv_cdf(min(max(below, edge), 1 - edge))
    z = normal_quantile(level)
    ends = []
    for tail in (-z, z):
        shifted = bias + tail
        ends.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = np.quantile(draws, ends)
    return float(low), float(high)
