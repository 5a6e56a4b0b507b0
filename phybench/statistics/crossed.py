"""Differences between two variants that were each trained several times, on the same prompts.

Two things are drawn at random: the prompts, and the trainings (their sampling, order and noise). An
interval over prompts alone says how these very models compare; it says nothing of what another
training would give, and three trainings of one recipe can differ by more than two recipes do. So
the variances of both are added,

    Var(d) = Var over prompts (bootstrap, all trainings together) + s² / S,

where ``s²`` is the sample variance of the ``S`` trainings' mean differences. What prompts and
trainings share is counted twice, so the sum is rather too large. The interval is Student's with
Welch-Satterthwaite degrees of freedom (Satterthwaite 1946), which are few when the trainings
decide: with three of them the quantile is up to 4.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phybench.statistics.interval import Interval, student_quantile, undefined
from phybench.statistics.paired import RESAMPLES, PairedDifference, paired_difference

ONE_TRAINING = "one training"
"""The method of an interval that is undefined because trainings cannot differ."""


@dataclass(frozen=True, slots=True)
class CrossedDifference:
    """How much higher one variant scores than another, over prompts and trainings.

    Args:
        difference: Mean difference over paired items; NaN without pairs.
        interval: For what further prompts and further trainings would give; undefined with one
            training.
        p_value: Two-sided, of the same Student statistic; NaN where the interval is undefined.
        over_prompts: The paired difference given these trainings, prompts as the unit.
        by_training: Mean difference of each training, in order.
        spread: Their standard deviation; NaN with one training.
    """

    difference: float
    interval: Interval
    p_value: float
    over_prompts: PairedDifference
    by_training: tuple[float, ...]
    spread: float


def crossed_difference(
    arm: ArrayLike,
    baseline: ArrayLike,
    *,
    unit: float = 1.0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> CrossedDifference:
    """Compare two variants, paired by training, prompt and repeat.

    Args:
        arm: Shape (S, P, K): trainings, prompts, repeats; NaN where not scored.
        baseline: The same shape, or (1, P, K) for something that was not trained repeatedly.
        unit: One step of the scale, as in :func:`.paired.paired_difference`.
        level: Two-sided confidence level.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        ValueError: If the shapes do not fit.
    """
    first, second = _fitting(arm, baseline)
    trainings = len(first)
    over_prompts = paired_difference(
        _side_by_side(first),
        _side_by_side(second),
        unit=unit,
        level=level,
        resamples=resamples,
        seed=seed,
    )
    gaps = first - second
    means = tuple(float(np.nanmean(each)) if np.isfinite(each).any() else math.nan for each in gaps)
    spread = float(np.std(means, ddof=1)) if trainings > 1 else math.nan
    interval, p_value = _both(over_prompts, spread, trainings, level)
    return CrossedDifference(
        over_prompts.difference, interval, p_value, over_prompts, means, spread
    )


def _fitting(
    arm: ArrayLike, baseline: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(arm, float), np.asarray(baseline, float)
    fits = first.ndim == 3 and second.ndim == 3 and first.shape[1:] == second.shape[1:]
    if not fits or len(second) not in {1, len(first)}:
        raise ValueError(
            "Expected two variants of one shape (trainings, prompts, repeats), or a baseline with "
            f"one training, but got {first.shape} and {second.shape}."
        )
    return first, np.broadcast_to(second, first.shape)


def _side_by_side(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (prompts, trainings × repeats)."""
    return np.concatenate(list(values), axis=1)


def _both(
    over_prompts: PairedDifference, spread: float, trainings: int, level: float
) -> tuple[Interval, float]:
    if trainings < 2:
        return undefined(level, ONE_TRAINING), math.nan
    if math.isnan(spread) or over_prompts.prompts < 2:
        return undefined(level, "too few pairs"), math.nan
    of_prompts, of_trainings = over_prompts.standard_error**2, spread**2 / trainings
    difference, variance = over_prompts.difference, of_prompts + of_trainings
    if variance == 0:
        return Interval(difference, difference, level, "all equal"), over_prompts.p_value
    terms = of_prompts**2 / (over_prompts.prompts - 1) + of_trainings**2 / (trainings - 1)
    # Rounded down, so that interval and p-value take the same, wider distribution.
    freedom = max(1, math.floor(variance**2 / terms))
    error = math.sqrt(variance)
    reach = student_quantile(level, freedom) * error
    interval = Interval(
        difference - reach, difference + reach, level, "Student t over prompts and trainings"
    )
    return interval, _two_sided(difference / error, freedom)


def _two_sided(statistic: float, freedom: int) -> float:
    from scipy import stats

    return float(2 * stats.t.sf(abs(statistic), freedom))
