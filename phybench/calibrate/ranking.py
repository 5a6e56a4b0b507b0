"""Does a judge rank generators as people do?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phybench.calibrate.agreement import RESAMPLES, AgreementEstimate
from phybench.statistics.interval import Interval, undefined
from phybench.statistics.mcnemar import sign_flip_test
from phybench.statistics.multiplicity import holm
from phybench.statistics.rates import Rate, clustered_rate

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Ranking:
    """Success rates of generators by judge and by people.

    Args:
        generators: Names, by the human rate from high to low.
        human: Rates by people.
        judge: Rates by the judge.
        spearman: Rank correlation over generators; the interval resamples prompts.
        kendall: Tau-b, likewise.
        separated: Pairs of generators that people tell apart (paired test, Holm).
        same_order: Of these, pairs that the judge's rates order the same way.
    """

    generators: tuple[str, ...]
    human: tuple[Rate, ...]
    judge: tuple[Rate, ...]
    spearman: AgreementEstimate
    kendall: AgreementEstimate
    separated: int
    same_order: int


def ranking(
    judge_success: ArrayLike,
    human_success: ArrayLike,
    prompts: ArrayLike,
    generators: Sequence[str],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Ranking:
    """Compare the generators' rates by two scorers.

    Args:
        judge_success: Shape (n,), 1, 0 or NaN.
        human_success: Shape (n,), likewise.
        prompts: Shape (n,), prompt of each clip.
        generators: Length n, generator of each clip.
        level: Two-sided confidence level.
        seed: Seed of the bootstrap.
    """
    judge, human = np.asarray(judge_success, float), np.asarray(human_success, float)
    both = np.isfinite(judge) & np.isfinite(human)
    names, g = np.unique(np.asarray(generators)[both], return_inverse=True)
    ids, p = np.unique(np.asarray(prompts)[both], return_inverse=True)
    shape = (len(names), len(ids))
    sizes, by_judge, by_human = (
        _grid(g, p, weights, shape) for weights in (np.ones(both.sum()), judge[both], human[both])
    )
    rates = by_human.sum(axis=1) / sizes.sum(axis=1)
    order = np.argsort(-rates, kind="stable")
    sizes, by_judge, by_human = sizes[order], by_judge[order], by_human[order]
    separated, same = _separated(by_human, by_judge, sizes)
    spearman, kendall = _correlations(by_judge, by_human, sizes, level, seed)
    return Ranking(
        tuple(str(name) for name in names[order]),
        tuple(clustered_rate(a, b, level) for a, b in zip(by_human, sizes, strict=True)),
        tuple(clustered_rate(a, b, level) for a, b in zip(by_judge, sizes, strict=True)),
        spearman,
        kendall,
        separated,
        same,
    )


def _grid(
    g: NDArray[np.int64], p: NDArray[np.int64], weights: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    sums = np.bincount(g * shape[1] + p, weights, shape[0] * shape[1])
    return sums.astype(np.float64).reshape(shape)


def rank_correlations(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Spearman's rho and Kendall's tau-b of two lists of rates; NaN below three or if constant."""
    from scipy import stats

    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) < _FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan
    return float(stats.spearmanr(a, b).statistic), float(stats.kendalltau(a, b).statistic)


def _correlations(
    by_judge: NDArray[np.float64],
    by_human: NDArray[np.float64],
    sizes: NDArray[np.float64],
    level: float,
    seed: int,
) -> tuple[AgreementEstimate, AgreementEstimate]:
    prompts = sizes.shape[1]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = sizes @ weights.T
        judge, human = by_judge @ weights.T / drawn, by_human @ weights.T / drawn
    kept = np.isfinite(judge).all(axis=0)
    pairs = zip(judge[:, kept].T, human[:, kept].T, strict=True)
    draws = np.array([rank_correlations(a, b) for a, b in pairs]).reshape(-1, 2)
    observed = rank_correlations(
        by_judge.sum(axis=1) / sizes.sum(axis=1), by_human.sum(axis=1) / sizes.sum(axis=1)
    )
    return (
        AgreementEstimate(observed[0], _ends(draws[:, 0], level)),
        AgreementEstimate(observed[1], _ends(draws[:, 1], level)),
    )


def _ends(draws: NDArray[np.float64], level: float) -> Interval:
    known = draws[np.isfinite(draws)]
    if len(known) < RESAMPLES / 2:
        return undefined(level, "too few generators, or constant rates")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "percentile bootstrap over prompts")


def _separated(
    by_human: NDArray[np.float64], by_judge: NDArray[np.float64], sizes: NDArray[np.float64]
) -> tuple[int, int]:
    """Generators are in human order, so in every pair the first is the better one."""
    pairs = list(combinations(range(len(sizes)), 2))
    if not pairs:
        return 0, 0
    tests = []
    for i, j in pairs:
        both = (sizes[i] > 0) & (sizes[j] > 0)
        gaps = by_human[i, both] / sizes[i, both] - by_human[j, both] / sizes[j, both]
        tests.append(sign_flip_test(gaps))
    told = [pair for pair, p in zip(pairs, holm(tests), strict=True) if p <= 0.05]
    rates = by_judge.sum(axis=1) / sizes.sum(axis=1)
    return len(told), sum(bool(rates[i] > rates[j]) for i, j in told)
