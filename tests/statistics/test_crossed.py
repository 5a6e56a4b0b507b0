"""Variants that were trained several times: the interval covers further prompts and trainings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from phybench.statistics.crossed import crossed_difference
from phybench.statistics.paired import paired_difference


def draws(rng, *, trainings, prompts, spread, effect=0.0):
    """Yes/no scores of two variants; each training of the first moves its rate by a normal draw."""
    base = rng.normal(0.0, 1.0, (1, prompts, 1))
    shift = effect + rng.normal(0.0, spread, (trainings, 1, 1))
    noise = rng.normal(0.0, 1.0, (2, trainings, prompts, 2))
    return ((base + shift + noise[0]) > 0).astype(float), ((base + noise[1]) > 0).astype(float)


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.4])
def test_the_interval_covers_the_true_difference_of_the_recipes(spread):
    # Without an effect the shift is symmetric about 0, so that the true difference is 0.
    rng = np.random.default_rng(5)
    inside = [
        0.0
        in crossed_difference(
            *draws(rng, trainings=3, prompts=60, spread=spread), resamples=200
        ).interval
        for _ in range(300)
    ]
    assert np.mean(inside) >= 0.93


def test_an_interval_over_prompts_alone_misses_it_when_trainings_differ():
    rng = np.random.default_rng(5)
    inside = [
        0.0
        in crossed_difference(
            *draws(rng, trainings=3, prompts=60, spread=0.4), resamples=200
        ).over_prompts.interval
        for _ in range(100)
    ]
    assert np.mean(inside) < 0.8


def test_the_numbers_by_hand():
    rng = np.random.default_rng(1)
    arm, baseline = draws(rng, trainings=3, prompts=40, spread=0.3, effect=0.5)
    found = crossed_difference(arm, baseline)
    means = (arm - baseline).mean(axis=(1, 2))
    assert found.by_training == pytest.approx(means)
    assert found.difference == pytest.approx(means.mean())
    assert found.spread == pytest.approx(means.std(ddof=1))
    wide = paired_difference(np.hstack(list(arm)), np.hstack(list(baseline)))
    assert found.over_prompts == wide
    of_prompts, of_trainings = wide.standard_error**2, means.var(ddof=1) / 3
    error = math.sqrt(of_prompts + of_trainings)
    freedom = (of_prompts + of_trainings) ** 2 / (of_prompts**2 / 39 + of_trainings**2 / 2)
    reach = stats.t.ppf(0.975, math.floor(freedom)) * error
    assert found.interval.high == pytest.approx(means.mean() + reach, rel=3e-3)
    assert found.interval.low == pytest.approx(means.mean() - reach, rel=3e-3)
    assert (found.p_value < 0.05) == (0.0 not in found.interval)


def test_one_training_gives_no_interval_over_trainings():
    rng = np.random.default_rng(2)
    found = crossed_difference(*draws(rng, trainings=1, prompts=30, spread=0.0))
    assert math.isnan(found.interval.low)
    assert math.isnan(found.p_value)
    assert found.interval.method == "one training"
    assert found.over_prompts.pairs == 60


def test_a_reference_without_trainings_is_compared_with_each():
    rng = np.random.default_rng(3)
    arm, baseline = draws(rng, trainings=3, prompts=30, spread=0.2)
    found = crossed_difference(arm, baseline[:1])
    assert found.by_training == pytest.approx((arm - baseline[:1]).mean(axis=(1, 2)))


def test_missing_scores_are_left_out_and_shapes_checked():
    rng = np.random.default_rng(4)
    arm, baseline = draws(rng, trainings=2, prompts=30, spread=0.0)
    arm[0, :5] = np.nan
    assert crossed_difference(arm, baseline).over_prompts.unpaired == 10
    arm[0] = np.nan
    assert crossed_difference(arm, baseline).interval.method == "too few pairs"
    with pytest.raises(ValueError, match="Expected two variants of one shape"):
        crossed_difference(arm[:, :3], baseline)


def test_equal_variants_cannot_be_told_apart():
    same = np.ones((3, 10, 2))
    found = crossed_difference(same, same)
    assert found.p_value == 1.0
    assert found.interval.low == -found.interval.high < 0  # ten prompts do not show equality
    plain = crossed_difference(same, same, unit=0)
    assert (plain.interval.low, plain.interval.high, plain.p_value) == (0.0, 0.0, 1.0)
