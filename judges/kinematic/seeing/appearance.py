"""What things look like: colour, shape and size, by measures that do not depend on the tilt."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..motion.kinds import Kinds
from ..motion.motion import Motion, Observation
from ..thresholds import Thresholds
from .blobs import Blobs

HUES = {
    "red": 0.995,
    "orange": 0.08,
    "yellow": 0.145,
    "green": 0.37,
    "cyan": 0.51,
    "blue": 0.62,
    "purple": 0.76,
    "pink": 0.915,
}
"""Hue, 0..1, of the middle of what English calls by each name."""
_PILED = frozenset({"bar", "cube"})
"""Blocks that stand on each other merge: a pile of one sort may look like one of the other."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing as it looks.

    Args:
        colour: A key of :data:`HUES`, or empty for greys.
        shapes: Shapes that it can be.
        size: ``small`` or ``large``.
    """

    colour: str
    shapes: frozenset[str]
    size: str


def colour_name(rgb: np.ndarray) -> str:
    """The name of a colour by its hue; empty for what is nearly grey."""
    hue, _, value = colorsys.rgb_to_hsv(*(np.clip(rgb, 0, 255) / 255))
    if np.ptp(rgb) < 50 or value < 0.2:
        return ""
    return min(HUES, key=lambda name: min(abs(hue - HUES[name]), 1 - abs(hue - HUES[name])))


def looks(observation: Observation, kinds: Kinds, limits: Thresholds) -> list[Seen]:
    """How every thing, row and liquid looks."""
    palette = observation.blobs.palette
    seen = []
    for index in kinds.solids:
        own = observation.motions[index]
        shapes, size = _shape(observation, own, limits)
        if own.travel < limits.standing and shapes & _PILED:
            shapes |= _PILED
        seen.append(Seen(colour_name(palette[own.track.colour]), shapes, size))
    seen += [
        Seen(colour_name(palette[colour]), frozenset({shape}), "large")
        for shape, colours in (("bar", kinds.crowds), ("liquid", kinds.liquids))
        for colour in colours
    ]
    return seen


def _shape(observation: Observation, own: Motion, limits: Thresholds) -> tuple[frozenset[str], str]:
    """Shape by the symmetry of its outline, size by area, in the frames that show it whole."""
    whole = np.flatnonzero(own.seen & ~own.edge)
    if not len(whole):
        whole = np.flatnonzero(own.seen)
    index = own.track.blob[whole]
    area = float(np.median(observation.blobs.area[index]))
    size = "large" if area > limits.large_area * observation.height * observation.width else "small"
    return _named(symmetry(observation.blobs, index, limits), limits), size


def symmetry(blobs: Blobs, index: NDArray[np.intp], limits: Thresholds) -> NDArray[np.float64]:
    """(3,) how far a thing is two-, three- and four-cornered: medians over its blobs (N,).

    With z the place relative to the centre as a complex number, order k is |mean z^k| over
    (mean |z|^2)^(k/2), pixels counted by the share of them that is covered. A disc has 0, 0, 0, a
    square 0, 0, 0.6, an equilateral triangle 0, 0.8, 0 (integrals over the shapes), a bar of sides
    a and b (a^2 - b^2) / (a^2 + b^2) in the first. Neither turning a thing nor blurring it evenly
    changes mean z^k, so these tell small things in coarse clips apart where corners cannot be seen.
    What lies further from the centre than a thing of this area can reach (a rod, chroma that bled)
    does not count.
    """
    number = np.full(len(blobs.frame), -1, dtype=np.intp)
    number[index] = np.arange(len(index))
    of = number[blobs.owner]
    chosen = of >= 0
    of, frame, y, x = of[chosen], *(axis[chosen] for axis in blobs.at)
    covered = np.clip(blobs.share[frame, y, x], 0, 1).astype(np.float64)
    place = x + 1j * y
    centre, area = blobs.x[index] + 1j * blobs.y[index], blobs.area[index]
    weight = covered
    for _ in range(3):
        near = np.abs(place - centre[of]) <= limits.outermost * np.sqrt(area / np.pi)[of] + 0.5
        weight = covered * near
        area = np.maximum(np.bincount(of, weight, len(index)), 1e-9)
        centre = _mean(of, weight * place, area)
    offset = place - centre[of]
    spread = np.maximum(_mean(of, weight * np.abs(offset) ** 2, area).real, 1e-9)
    return np.array([
        np.median(np.abs(_mean(of, weight * offset**order, area)) / spread ** (order / 2))
        for order in (2, 3, 4)
    ])  # fmt: skip


def _mean(
    of: NDArray[np.intp], values: NDArray[np.number], area: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """(N,) sums of the values (P,) of each blob over its area."""
    real = np.bincount(of, values.real, len(area))
    imaginary = np.bincount(of, values.imag, len(area))
    mean: NDArray[np.complex128] = np.asarray((real + 1j * imaginary) / area, np.complex128)
    return mean


def _named(orders: NDArray[np.float64], limits: Thresholds) -> frozenset[str]:
    """Shapes that the symmetry allows: two where it lies between two shapes."""
    two, three, four = orders
    if two > limits.bar_order:
        return frozenset({"bar"})
    found = set()
    if three > limits.triangle_order - limits.order_error:
        found.add("triangle")
    if three < limits.triangle_order + limits.order_error:
        if four < limits.square_order + limits.order_error:
            found.add("ball")
        if four > limits.square_order - limits.order_error:
            found.add("cube")
    return frozenset(found)
