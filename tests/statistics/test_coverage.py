"""Coverage simulations: what the intervals and tests promise is what they deliver.

Successes of a prompt's seeds are beta-binomial, so that the intra-prompt correlation is exact. The
true rate is drawn from a band of ±1 point: at a single rate, coverage of *any* interval for counts
jumps by up to 2 points from lattice effects alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from phybench.statistics.mcnemar import sign_flip_test
from phybench.statistics.paired import paired_difference
from phybench.statistics.rates import clustered_rate, wilson

BANDS = (0.06, 0.1, 0.3, 0.5, 0.7, 0.94)
# 95 % ± 2 points, and three Monte Carlo standard errors of a pooled cell of 1 200 runs.
LOW, HIGH = 0.93 - 0.013, 0.97 + 0.013


def prompt_successes(
    rng: np.random.Generator, rate: float, prompts: int, seeds: int, icc: float
) -> NDArray[np.int64]:
    chances = (
        np.full(prompts, rate)
        if icc == 0
        else rng.beta(rate * (1 / icc - 1), (1 - rate) * (1 / icc - 1), prompts)
    )
    return rng.binomial(seeds, chances)


@pytest.mark.parametrize("prompts", [50, 200, 600])
@pytest.mark.parametrize(("seeds", "icc"), [(1, 0), (2, 0.5), (4, 0), (4, 0.2), (4, 0.5), (4, 0.8)])
def test_rate_intervals_cover(prompts: int, seeds: int, icc: float) -> None:
    rng = np.random.default_rng([prompts, seeds, round(icc * 10)])
    covered = []
    for band in BANDS:
        for _ in range(200):
            rate = float(np.clip(band + rng.uniform(-0.01, 0.01), 0.05, 0.95))
            counts = prompt_successes(rng, rate, prompts, seeds, icc)
            covered.append(rate in clustered_rate(counts, np.full(prompts, seeds)).interval)
    assert LOW <= np.mean(covered) <= HIGH


@pytest.mark.parametrize("n", [50, 100, 200, 300, 500, 600])
def test_wilson_coverage_by_enumeration(n: int) -> None:
    """Exact coverage, averaged over a band of two points, stays in 93..97 %."""
    rates = np.linspace(0.05, 0.95, 451)
    intervals = [wilson(k, n) for k in range(n + 1)]
    inside = np.array([[rate in interval for interval in intervals] for rate in rates])
    exact = (stats.binom.pmf(np.arange(n + 1)[None, :], n, rates[:, None]) * inside).sum(axis=1)
    banded = np.convolve(exact, np.ones(11) / 11, mode="valid")
    assert banded.min() >= 0.93
    assert banded.max() <= 0.97


def paired_arms(
    rng: np.random.Generator, rates: tuple[float, float], prompts: int, seeds: int, shared: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two arms that share how hard each prompt is, by a Gaussian copula."""
    prompt = rng.standard_normal((prompts, 1))
    own = rng.standard_normal((2, prompts, 1))
    noise = rng.standard_normal((2, prompts, seeds))
    rest = (1 - shared) / 2
    latent = np.sqrt(shared) * prompt + np.sqrt(rest) * own + np.sqrt(rest) * noise
    first, second = (
        (z < stats.norm.ppf(rate)).astype(float) for z, rate in zip(latent, rates, strict=True)
    )
    return first, second


@pytest.mark.parametrize(("prompts", "seeds"), [(50, 1), (50, 4), (300, 1), (300, 4)])
@pytest.mark.parametrize("rates", [(0.08, 0.05), (0.4, 0.3), (0.9, 0.95)])
def test_paired_intervals_cover(prompts: int, seeds: int, rates: tuple[float, float]) -> None:
    rng = np.random.default_rng([prompts, seeds, round(rates[0] * 100)])
    covered = [
        rates[0] - rates[1]
        in paired_difference(
            *paired_arms(rng, rates, prompts, seeds, 0.4), resamples=600, seed=run
        ).interval
        for run in range(250)
    ]
    # 250 runs: three standard errors are 4 points. Over-coverage is lattice effect at few wins.
    assert np.mean(covered) >= 0.93 - 0.04


@pytest.mark.parametrize(("prompts", "seeds"), [(50, 1), (50, 4), (300, 1), (300, 4)])
def test_paired_test_rejects_a_true_null_rarely(prompts: int, seeds: int) -> None:
    rng = np.random.default_rng([prompts, seeds])
    rejected = 0
    for _ in range(500):
        first, second = paired_arms(rng, (0.35, 0.35), prompts, seeds, 0.4)
        rejected += sign_flip_test((first - second).sum(axis=1)) <= 0.05
    # The test is exact; 500 runs at a true 5 % exceed 8 % with a chance below 0.2 %.
    assert rejected / 500 <= 0.08


def test_exact_mcnemar_false_positive_rate_by_enumeration() -> None:
    """For every number of discordant pairs the rejection chance under the null is at most 5 %."""
    for discordant in range(1, 80):
        wins = np.arange(discordant + 1)
        p = [sign_flip_test(np.repeat([1.0, -1.0], [w, discordant - w])) for w in wins]
        chance = stats.binom.pmf(wins, discordant, 0.5)[np.array(p) <= 0.05].sum()
        assert chance <= 0.05 + 1e-12
