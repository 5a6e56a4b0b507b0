from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.training.stage2.curriculum import EVALUATION_WEIGHT, SCHEDULES, weight_at

shares = st.floats(0, 1)
rates = st.floats(0.01, 20)


@pytest.mark.parametrize(
    ("alpha", "end", "mean"),
    [
        (0.5, 0.607, 0.787),
        (1, 0.368, 0.632),
        (2, 0.135, 0.432),
        (3, 0.050, 0.317),
        (5, 0.007, 0.199),
    ],
)
def test_the_exponential_ends_and_averages_as_integrated_by_hand(alpha, end, mean):
    # w(1) = e^-α and ∫ e^-αx dx = (1 - e^-α) / α.
    weights = [weight_at("exponential", alpha, step, 10_000) for step in range(10_001)]
    assert weights[-1] == pytest.approx(end, abs=5e-4)
    assert sum(weights) / len(weights) == pytest.approx(mean, abs=1e-3)


def test_the_first_step_is_all_sa_and_pc_takes_over_at_ln2_over_alpha():
    assert weight_at("exponential", 3.0, 0, 1000) == 1.0
    crossover = math.log(2) / 3.0 * 1000
    assert weight_at("exponential", 3.0, math.floor(crossover), 1000) > 0.5
    assert weight_at("exponential", 3.0, math.ceil(crossover), 1000) < 0.5
    assert weight_at("exponential", 0.69, 1000, 1000) > 0.5  # below ln 2, PC never outweighs SA


def test_the_values_of_a_run_that_was_watched():
    # α 3, T 4, as TRL logged them in an experiment: 1.0, 0.472, 0.223, 0.105.
    found = [round(weight_at("exponential", 3.0, step, 4), 3) for step in range(4)]
    assert found == [1.0, 0.472, 0.223, 0.105]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("total", [0, -1])
def test_before_training_there_is_a_fixed_weight_and_no_division_by_zero(schedule, total):
    assert weight_at(schedule, 3.0, 0, total) == EVALUATION_WEIGHT


@given(schedule=st.sampled_from(sorted(SCHEDULES)), progress=shares, alpha=rates)
def test_every_weight_is_a_share(schedule, progress, alpha):
    assert 0.0 <= SCHEDULES[schedule](progress, alpha) <= 1.0


@given(
    schedule=st.sampled_from(["exponential", "linear", "cosine", "step"]),
    a=shares,
    b=shares,
    alpha=rates,
)
def test_the_falling_schedules_fall_from_one_to_the_same_end(schedule, a, b, alpha):
    weight = SCHEDULES[schedule]
    low, high = sorted((a, b))
    assert weight(low, alpha) >= weight(high, alpha) - 1e-12
    assert weight(0.0, alpha) == pytest.approx(1.0)
    assert weight(1.0, alpha) == pytest.approx(math.exp(-alpha))


def test_the_constant_schedules():
    for step in (0, 5, 10):
        assert weight_at("static", 3.0, step, 10) == 0.5
        assert weight_at("sa-only", 3.0, step, 10) == 1.0
        assert weight_at("pc-only", 3.0, step, 10) == 0.0
