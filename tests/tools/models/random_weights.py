"""Random weights under given names, tame enough that a network stays finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def random_tensors(
    named: Iterator[tuple[str, tuple[int, ...]]], prefix: str = ""
) -> dict[str, Any]:
    """Matrices of unit gain, norms near one, small biases."""
    made = {}
    for name, shape in named:
        scale = max(1, int(np.prod(shape[1:]))) ** -0.5 if len(shape) > 1 else 0.1
        tensor = torch.randn(shape) * scale
        is_norm = len(shape) == 1 and name.endswith("weight")
        made[prefix + name] = tensor + 1 if is_norm else tensor
    return made
