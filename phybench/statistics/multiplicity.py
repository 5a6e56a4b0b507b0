"""Correction for testing several hypotheses at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values (Holm 1979).

    Rejecting where the adjusted value is <= alpha keeps the chance of any false rejection at alpha,
    whatever the dependence between the tests.

    Args:
        p_values: Shape (m,), each in [0, 1].

    Returns:
        Adjusted p-values, shape (m,), in the order given.

    Raises:
        ValueError: If a value is not a probability.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise ValueError("Expected `p_values` to be a list of numbers between 0 and 1.")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
