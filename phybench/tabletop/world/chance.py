"""Random numbers by name: every draw depends on the seed and its own name, on nothing else.

Two scenes with the same seed share every draw that both make, whatever else they draw and in
whatever order (common random numbers), which is what makes arms of an experiment comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chance:
    """A family of independent uniform numbers.

    Args:
        seed: Any integer.
    """

    seed: int

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        """The number called ``name``, uniform in [low, high)."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=7).digest()
        # 53 of the 56 bits: exactly the doubles k / 2**53, so that 1.0 is never reached.
        unit = (int.from_bytes(digest, "big") >> 3) / 2**53
        return low + (high - low) * unit

    def choice(self, name: str, options: Sequence[T]) -> T:
        """One of the options, each equally likely."""
        return options[int(self.uniform(name) * len(options))]
