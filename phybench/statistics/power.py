"""What a number of prompts can show: power and the minimum detectable effect of paired tests."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LARGE = 3_000
"""Above this many pairs the minimum detectable effect is Connor's normal approximation, which then
differs from the exact one by less than 3 % of its value."""
_REACH = 7.0
"""Standard deviations around the mean that are summed; what lies outside weighs < 1e-11."""


def effective_pairs(prompts: int, seeds: int = 1, icc: float = 0.0) -> int:
    """Independent pairs that several seeds per prompt are worth.

    Args:
        prompts: Number of prompts, >= 1.
        seeds: Seeds per prompt, >= 1.
        icc: Correlation of the paired differences within a prompt, 0..1.

    Raises:
        ValueError: If an argument is out of range.
    """
    if prompts < 1 or seeds < 1:
        raise ValueError(f"Expected prompts and seeds ≥ 1, but got {prompts} and {seeds}.")
    if not 0 <= icc <= 1:
        raise ValueError(f"Expected `icc` to lie between 0 and 1, but got {icc}.")
    return max(1, round(prompts * seeds / (1 + (seeds - 1) * icc)))


def mcnemar_power(pairs: int, difference: float, discordance: float, alpha: float = 0.05) -> float:
    """Chance that the exact McNemar test finds a difference that is really there.

    Exact: sums over how many of the pairs turn out discordant, and over how these split.

    Args:
        pairs: Number of independent pairs, >= 1.
        difference: True difference of the success rates, within ±discordance.
        discordance: Share of pairs in which exactly one arm succeeds, in (0, 1].
        alpha: Two-sided significance level.

    Raises:
        ValueError: If an argument is out of range.
    """
    _check(pairs, difference, discordance)
    up = (1 + abs(difference) / discordance) / 2
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, pairs + 1)))])
    spread = _REACH * math.sqrt(pairs * discordance * (1 - discordance)) + _REACH
    first = max(0, math.floor(pairs * discordance - spread))
    last = min(pairs, math.ceil(pairs * discordance + spread))
    numbers = np.arange(first, last + 1)
    weights = _binomial(numbers, pairs, discordance, log_factorial)
    found = [_rejection_chance(int(n), up, alpha, log_factorial) for n in numbers]
    return float(weights @ np.array(found))


def _check(pairs: int, difference: float, discordance: float) -> None:
    if pairs < 1:
        raise ValueError(f"Expected `pairs` to be ≥ 1, but got {pairs}.")
    if not 0 < discordance <= 1:
        raise ValueError(f"Expected `discordance` to lie in (0, 1], but got {discordance}.")
    if abs(difference) > discordance:
        raise ValueError(
            f"Expected a difference within ±{discordance} (the discordance), but got {difference}."
        )


def _binomial(
    k: NDArray[np.int64], n: int, p: float, log_factorial: NDArray[np.float64]
) -> NDArray[np.float64]:
    if p == 1.0:
        return np.asarray(k == n, dtype=float)
    logs = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    return np.asarray(np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p)))


def _rejection_chance(n: int, up: float, alpha: float, log_factorial: NDArray[np.float64]) -> float:
    k = np.arange(n + 1)
    tail = np.cumsum(_binomial(k, n, 0.5, log_factorial))
    critical = int(np.searchsorted(2 * tail, alpha, side="right"))
    if critical == 0:
        return 0.0
    chances = _binomial(k, n, up, log_factorial)
    return float(chances[:critical].sum() + chances[n + 1 - critical :].sum())


def minimum_detectable_effect(
    prompts: int,
    discordance: float,
    *,
    seeds: int = 1,
    icc: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Smallest true difference of rates that the test finds with the wanted power.

    Args:
        prompts: Number of prompts.
        discordance: Share of pairs in which exactly one arm succeeds.
        seeds: Seeds per prompt.
        icc: Correlation of the paired differences within a prompt.
        alpha: Two-sided significance level (divide it by the number of comparisons for Bonferroni).
        power: Wanted chance of finding it.

    Returns:
        The difference in 0..discordance, to 1e-4; NaN if even the largest is not found.
    """
    pairs = effective_pairs(prompts, seeds, icc)

    def shown(difference: float) -> bool:
        if pairs > LARGE:
            return sample_size(difference, discordance, alpha=alpha, power=power) <= pairs
        return mcnemar_power(pairs, difference, discordance, alpha) >= power

    if not shown(discordance):
        return math.nan
    low, high = 0.0, discordance
    while high - low > 1e-4:
        middle = (low + high) / 2
        if shown(middle):
            high = middle
        else:
            low = middle
    return high


def sample_size(
    difference: float, discordance: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Pairs needed to find a difference, by Connor's (1987) normal approximation.

    The exact test needs a few per cent more; :func:`mcnemar_power` says how many.

    Args:
        difference: True difference of the success rates, not 0.
        discordance: Share of pairs in which exactly one arm succeeds.
        alpha: Two-sided significance level.
        power: Wanted chance of finding it.

    Raises:
        ValueError: If the difference is 0 or larger than the discordance.
    """
    _check(1, difference, discordance)
    if difference == 0:
        raise ValueError("Expected `difference` not to be 0: no sample finds nothing.")
    normal = NormalDist()
    reach = normal.inv_cdf(1 - alpha / 2) * math.sqrt(discordance) + normal.inv_cdf(
        power
    ) * math.sqrt(discordance - difference**2)
    return math.ceil((reach / difference) ** 2)
