"""Exact paired tests: McNemar, and its extension to several seeds per prompt.

If refiner A and refiner B do equally well on a prompt, swapping their results changes nothing, so
the sign of the prompt's difference is a coin toss. The sign-flip test enumerates all tosses. With
one seed and a yes/no outcome it *is* the exact McNemar test; with several seeds the prompt's summed
difference is flipped as a whole, so seeds of one prompt never pose as independent evidence.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_LIMIT = 20_000
"""Largest sum of absolute integer differences that is enumerated; beyond, the normal limit."""
MONTE_CARLO_FLIPS = 9_999
"""Sign assignments drawn when differences are not integers (judges with continuous scores)."""
MONTE_CARLO_LIMIT = 5_000
"""Most non-integer differences whose signs are drawn; beyond, the normal limit."""
_TOLERANCE = 1e-9
_CHUNK = 2_000_000


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact McNemar p-value from the discordant pairs.

    Args:
        wins: Pairs where only the first arm succeeded.
        losses: Pairs where only the second arm succeeded.

    Raises:
        ValueError: If a count is negative.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"Expected counts ≥ 0, but got wins {wins} and losses {losses}.")
    differences = np.repeat([1.0, -1.0], [wins, losses])
    return sign_flip_test(differences)


def sign_flip_test(differences: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value that the differences are symmetric about zero.

    Integer differences (successes, 1..5 scores) are tested exactly; others by
    :data:`MONTE_CARLO_FLIPS` seeded sign assignments with the +1 correction, so that p is never 0.

    Args:
        differences: Shape (P,), each prompt's difference summed over its paired seeds.
        seed: Seed of the sign assignments; unused where the test is exact.

    Returns:
        The p-value; 1.0 if every difference is zero.
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return 1.0
    observed = abs(float(values.sum()))
    sizes = np.abs(values)
    if np.any(sizes != np.round(sizes)):
        if len(sizes) > MONTE_CARLO_LIMIT:
            return _normal_limit(sizes, observed)
        return _monte_carlo(sizes, observed, seed)
    if sizes.sum() > EXACT_LIMIT:
        # The continuity correction is half the lattice step of the sum, which is 2.
        return _normal_limit(sizes, max(observed - 1, 0.0))
    return _enumerate(sizes.astype(np.int64), observed)


def _normal_limit(sizes: NDArray[np.float64], observed: float) -> float:
    return min(1.0, 2 * NormalDist().cdf(-observed / math.sqrt(float(sizes @ sizes))))


def _enumerate(sizes: NDArray[np.int64], observed: float) -> float:
    """Distribution of the sum of +-sizes, as a product of spaced binomials."""
    distribution = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        tosses = np.zeros(size * count + 1)
        tosses[:: int(size)] = _fair_binomial(int(count))
        distribution = np.convolve(distribution, tosses)
    sums = 2 * np.arange(len(distribution)) - int(sizes.sum())
    return min(1.0, float(distribution[np.abs(sums) >= observed - _TOLERANCE].sum()))


def _fair_binomial(n: int) -> NDArray[np.float64]:
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = log_factorial[n] - log_factorial - log_factorial[::-1] - n * math.log(2)
    return np.asarray(np.exp(logs))


def _monte_carlo(sizes: NDArray[np.float64], observed: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(sizes))
    extreme = done = 0
    while done < MONTE_CARLO_FLIPS:
        take = min(rows, MONTE_CARLO_FLIPS - done)
        signs = rng.integers(0, 2, (take, len(sizes)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ sizes) >= observed - _TOLERANCE).sum())
        done += take
    return (extreme + 1) / (MONTE_CARLO_FLIPS + 1)
