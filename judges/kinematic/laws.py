"""What a law check reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured violation.

    Args:
        id: What it looks like (``levitates``, ``vanishes``, ...).
        frame: Frame at which it begins.
        thing: Index of the thing, -1 for liquids and the scene as a whole.
        magnitude: How far beyond the lawful range, in units of the threshold; > 1.
        evidence: The measurement in words and numbers.
    """

    id: str
    frame: int
    thing: int
    magnitude: float
    evidence: str
