"""Ranks that only claim what the tests support: a range for each arm instead of a bare order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from phybench.statistics.mcnemar import sign_flip_test
from phybench.statistics.multiplicity import holm
from phybench.statistics.rates import as_arm


@dataclass(frozen=True, slots=True)
class Rank:
    """The places an arm may hold.

    Args:
        low: Best place: one more than the number of arms that are significantly better.
        high: Worst place: the number of arms less those that are significantly worse.
    """

    low: int
    high: int


def tie_groups(arms: Sequence[NDArray[np.float64]], alpha: float = 0.05) -> tuple[Rank, ...]:
    """Rank arms by paired tests of every pair, Holm-adjusted over all pairs.

    Two arms whose ranges overlap cannot be told apart on these prompts.

    Args:
        arms: Per arm an array of shape (P, K), NaN where not scored, prompts in one order.
        alpha: Chance of any wrong ordering that is accepted.

    Returns:
        One rank per arm, in the order given.

    Raises:
        ValueError: If the arms' shapes differ.
    """
    scores = [as_arm(arm) for arm in arms]
    if len({arm.shape for arm in scores}) > 1:
        raise ValueError(
            "Expected arms of one shape (prompts, seeds), "
            f"but got {sorted({arm.shape for arm in scores})}."
        )
    pairs = list(combinations(range(len(scores)), 2))
    differences = [np.nansum(scores[i] - scores[j], axis=1) for i, j in pairs]
    adjusted = holm([sign_flip_test(difference) for difference in differences])
    better, worse = [0] * len(scores), [0] * len(scores)
    for (i, j), difference, p in zip(pairs, differences, adjusted, strict=True):
        if p > alpha:
            continue
        winner, loser = (i, j) if difference.sum() > 0 else (j, i)
        worse[winner] += 1
        better[loser] += 1
    return tuple(
        Rank(1 + above, len(scores) - below) for above, below in zip(better, worse, strict=True)
    )
