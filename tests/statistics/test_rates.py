from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from phybench.statistics.interval import normal_quantile, student_quantile
from phybench.statistics.rates import arm_mean, arm_rate, clustered_rate, failure_bounds, wilson


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval = wilson(successes, n, 0.9)
    expected = proportion_confint(successes, n, alpha=0.1, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


def test_half_widths_of_the_published_design_points() -> None:
    """Half-widths in points at a joint rate of 41 %: 12.1 at n = 60 and 4.0 at n = 590."""
    for n, expected in ((60, 12.1), (590, 4.0)):
        interval = wilson(0.41 * n, n)
        assert 50 * (interval.high - interval.low) == pytest.approx(expected, abs=0.05)


def test_nothing_scored_is_not_a_number() -> None:
    assert math.isnan(wilson(0, 0).low)
    rate = arm_rate(np.full((3, 2), np.nan))
    assert math.isnan(rate.rate)
    assert rate.clusters == 0
    assert math.isnan(arm_mean(np.full((3, 2), np.nan)).mean)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="Expected `successes`"):
        wilson(successes, n)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_quantiles_agree_with_scipy(level: float) -> None:
    assert normal_quantile(level) == pytest.approx(stats.norm.ppf(0.5 + level / 2))
    tolerance = 0.002 if level <= 0.95 else 0.02
    for df in (1, 2, 3, 4, 7, 20, 49, 500):
        expected = stats.t.ppf(0.5 + level / 2, df)
        assert student_quantile(level, df) == pytest.approx(expected, rel=tolerance)


def test_one_item_per_prompt_is_plain_wilson() -> None:
    rate = clustered_rate([1, 0, 1, 1], [1, 1, 1, 1])
    assert rate.interval == wilson(3, 4)
    assert rate.design_effect == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
def test_clustered_error_is_the_textbook_pairwise_sum(rows: list[tuple[int, int]]) -> None:
    """Miller (arXiv 2411.00640, eq. 4): sum over all pairs of items of one cluster."""
    items = [
        (cluster, outcome)
        for cluster, (hits, extra) in enumerate(rows)
        for outcome in [1] * hits + [0] * extra
    ]
    sizes = [hits + extra for hits, extra in rows]
    rate = clustered_rate([hits for hits, _ in rows], sizes)
    if rate.clusters < 2:
        return
    mean = sum(outcome for _, outcome in items) / len(items)
    pairwise = (
        sum((x - mean) * (y - mean) for c, x in items for d, y in items if c == d) / len(items) ** 2
    )
    small_sample = rate.clusters / (rate.clusters - 1)
    expected = math.sqrt(max(pairwise, 0) * small_sample)
    # The root of a rounding error of 1e-17 is 3e-9.
    assert rate.standard_error == pytest.approx(expected, abs=1e-7)


def test_identical_seeds_are_worth_one_seed() -> None:
    once = np.repeat([[1.0], [0.0]], [40, 60], axis=0)
    one, four = arm_rate(once), arm_rate(np.repeat(once, 4, axis=1))
    assert four.design_effect == pytest.approx(4, rel=0.01)
    width = one.interval.high - one.interval.low
    # The t quantile of 99 degrees of freedom is 1.2 % wider than z.
    assert four.interval.high - four.interval.low == pytest.approx(width, rel=0.02)


def test_all_failures_count_prompts_not_items() -> None:
    """With no variation the design effect cannot be estimated, so the cautious value is taken."""
    rate = arm_rate(np.zeros((50, 4)))
    assert rate.interval.low == 0
    assert rate.interval.high == pytest.approx(wilson(0, 50).high, rel=0.06)


def test_failure_bounds_enclose_every_completion() -> None:
    bounds = failure_bounds(30, 90, 10)
    assert (bounds.worst, bounds.best) == (0.30, 0.40)
    assert bounds.interval.low == wilson(30, 100).low
    assert bounds.interval.high == wilson(40, 100).high
    with pytest.raises(ValueError, match="missing"):
        failure_bounds(1, 2, -1)


def test_mean_agrees_with_scipy_for_one_seed() -> None:
    values = np.random.default_rng(0).integers(1, 6, (80, 1)).astype(float)
    mean = arm_mean(values)
    expected = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert (mean.interval.low, mean.interval.high) == pytest.approx(tuple(expected), abs=1e-4)
    assert mean.standard_error == pytest.approx(stats.sem(values[:, 0]))


def test_missing_items_do_not_count() -> None:
    values = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan]])
    rate = arm_rate(values)
    assert (rate.rate, rate.n, rate.clusters) == (pytest.approx(2 / 3), 3, 2)
