from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from phybench.statistics.mcnemar import mcnemar, sign_flip_test
from phybench.statistics.multiplicity import holm
from phybench.statistics.paired import bootstrap_ratio, paired_difference
from phybench.statistics.ranks import Rank, tie_groups


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_statsmodels(wins: int, losses: int) -> None:
    expected = statsmodels_mcnemar([[7, wins], [losses, 9]], exact=True).pvalue
    assert mcnemar(wins, losses) == pytest.approx(min(1.0, expected), rel=1e-9, abs=1e-300)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
def test_sign_flip_is_the_enumeration_of_all_signs(differences: list[int]) -> None:
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(differences))).reshape(len(differences), -1)
    sums = np.abs(np.abs(differences) @ signs)
    expected = (sums >= abs(sum(differences))).mean()
    assert sign_flip_test(np.array(differences, float)) == pytest.approx(expected)


def test_continuous_scores_agree_with_scipy_permutation() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 40)
    expected = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    p = sign_flip_test(differences)
    assert p == pytest.approx(expected, abs=0.01)
    assert p == sign_flip_test(differences)


def test_many_prompts_use_the_normal_limit() -> None:
    differences = np.repeat([1.0, -1.0], [10_300, 9_900])
    expected = stats.binomtest(10_300, 20_200).pvalue
    assert sign_flip_test(differences) == pytest.approx(expected, rel=0.01)
    noise = np.random.default_rng(0).normal(0.02, 1, 8_000)
    assert sign_flip_test(noise) == pytest.approx(stats.ttest_1samp(noise, 0).pvalue, rel=0.02)


def test_no_difference_has_p_one() -> None:
    assert sign_flip_test(np.zeros(10)) == 1
    with pytest.raises(ValueError, match="counts ≥ 0"):
        mcnemar(-1, 3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected)


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="p_values"):
        holm([0.1, float("nan")])


@pytest.mark.parametrize(
    "sample",
    [
        np.random.default_rng(1).integers(-4, 5, 120).astype(float),
        np.random.default_rng(2).exponential(size=80) - 1,
    ],
)
def test_bca_agrees_with_scipy(sample: np.ndarray) -> None:
    ours, error = bootstrap_ratio(sample, np.ones(len(sample)), unit=0, resamples=20_000)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=3)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)
    assert error == pytest.approx(theirs.standard_error, rel=0.03)


def test_difference_counts_and_sign() -> None:
    arm = np.array([[1, 1], [1, 0], [np.nan, 1], [np.nan, np.nan]])
    baseline = np.array([[0, 1], [1, 1], [1.0, 0], [1, np.nan]])
    result = paired_difference(arm, baseline)
    assert (result.wins, result.losses, result.ties) == (2, 1, 2)
    assert (result.pairs, result.prompts, result.unpaired) == (5, 3, 2)
    assert result.difference == pytest.approx(1 / 5)


@given(st.integers(0, 10_000))
def test_swapping_arms_mirrors_the_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(1, 6, (2, 30, 2)).astype(float)
    there = paired_difference(first, second, resamples=300)
    back = paired_difference(second, first, resamples=300)
    assert there.difference == -back.difference
    assert there.p_value == pytest.approx(back.p_value)
    assert (there.wins, there.losses) == (back.losses, back.wins)


def test_same_seed_same_interval_and_zero_is_a_seed() -> None:
    rng = np.random.default_rng(0)
    arms = rng.random((2, 40, 3))
    first = paired_difference(*arms, seed=0)
    assert first == paired_difference(*arms, seed=0)
    assert first.interval != paired_difference(*arms, seed=1).interval


def test_equal_arms_keep_a_width() -> None:
    """No discordant pair among 100 does not prove that there is no difference."""
    arm = np.ones((100, 1))
    interval = paired_difference(arm, arm).interval
    assert interval.low < 0 < interval.high
    assert interval.high < 0.05


def test_no_pairs_is_not_a_number() -> None:
    arm = np.full((3, 1), np.nan)
    result = paired_difference(arm, np.ones((3, 1)))
    assert math.isnan(result.difference)
    assert result.p_value == 1
    with pytest.raises(ValueError, match="one shape"):
        paired_difference(np.ones((3, 1)), np.ones((4, 1)))


def test_ranks_separate_only_what_the_tests_separate() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.random((300, 1))
    strong = (difficulty < 0.8).astype(float)
    weak = (difficulty < 0.3).astype(float)
    also_weak = weak.copy()
    also_weak[:2] = 1 - also_weak[:2]
    assert tie_groups([weak, strong, also_weak]) == (Rank(2, 3), Rank(1, 1), Rank(2, 3))
    assert tie_groups([weak]) == (Rank(1, 1),)
    assert tie_groups([]) == ()


def test_false_orderings_stay_within_alpha() -> None:
    """Six equal arms: any separation at all is an error; at most 5 % of leaderboards have one."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        arms = (rng.random((6, 60, 1)) < rng.random((60, 1))).astype(float)
        wrong += any(rank != Rank(1, 6) for rank in tie_groups(list(arms)))
    assert wrong / 200 <= 0.05 + 0.03
