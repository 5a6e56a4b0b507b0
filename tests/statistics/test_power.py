from __future__ import annotations

import math

import numpy as np
import pytest

from phybench.statistics.mcnemar import mcnemar
from phybench.statistics.power import (
    effective_pairs,
    mcnemar_power,
    minimum_detectable_effect,
    sample_size,
)


def test_power_is_the_rejection_rate_of_the_test() -> None:
    rng = np.random.default_rng(0)
    up, down = 0.20, 0.08
    tables = rng.multinomial(150, [up, down, 1 - up - down], size=2000)
    rejected = np.mean([mcnemar(int(b), int(c)) <= 0.05 for b, c, _ in tables])
    assert mcnemar_power(150, up - down, up + down) == pytest.approx(rejected, abs=0.03)


@pytest.mark.parametrize(
    ("difference", "power"), [(0.022, 0.13), (0.038, 0.31), (0.05, 0.50), (0.086, 0.93)]
)
def test_power_of_the_papers_gaps_at_500_prompts(difference: float, power: float) -> None:
    """PhyPrompt's gaps at N = 500 if 30 % of the pairs are discordant.

    The numbers are from an independent simulation of the same test.
    """
    assert mcnemar_power(500, difference, 0.3) == pytest.approx(power, abs=0.015)


@pytest.mark.parametrize(
    ("difference", "discordance", "n"),
    [(0.02, 0.15, 2941), (0.03, 0.25, 2178), (0.05, 0.35, 1097), (0.086, 0.25, 263)],
)
def test_sample_sizes_of_connor(difference: float, discordance: float, n: int) -> None:
    """n = (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2, worked out by hand."""
    assert sample_size(difference, discordance) == n


def test_minimum_detectable_effect_has_the_power_it_claims() -> None:
    effect = minimum_detectable_effect(200, 0.25)
    assert mcnemar_power(200, effect, 0.25) >= 0.8
    assert mcnemar_power(200, effect - 0.002, 0.25) < 0.8


def test_seeds_help_only_as_far_as_they_are_independent() -> None:
    one = minimum_detectable_effect(100, 0.3)
    assert minimum_detectable_effect(100, 0.3, seeds=4, icc=1.0) == one
    assert minimum_detectable_effect(100, 0.3, seeds=4, icc=0.0) < 0.6 * one
    assert effective_pairs(100, 4, 0.5) == 160


def test_too_few_prompts_detect_nothing() -> None:
    assert math.isnan(minimum_detectable_effect(5, 0.3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 0.1, 0.2), "pairs"), ((9, 0.1, 0.0), "discordance"), ((9, 0.3, 0.2), "difference")],
)
def test_impossible_designs_are_refused(arguments: tuple[int, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mcnemar_power(*arguments)


def test_no_sample_finds_nothing() -> None:
    with pytest.raises(ValueError, match="not to be 0"):
        sample_size(0, 0.2)
    with pytest.raises(ValueError, match="icc"):
        effective_pairs(10, 2, 1.5)
