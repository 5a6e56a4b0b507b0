"""What things look like: colour, shape and size, by measures that do not depend on the tilt."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from phybench.judges.kinematics.kinds import Kinds
from phybench.judges.kinematics.motion import Motion, Observation
from phybench.judges.kinematics.thresholds import Thresholds

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
    """Shape by elongation and peakedness, in the frames that show it whole."""
    blobs = observation.blobs
    whole = np.flatnonzero(own.seen & ~own.edge)
    if not len(whole):
        whole = np.flatnonzero(own.seen)
    index = own.track.blob[whole]
    area = float(np.median(blobs.area[index]))
    middle = (blobs.xx[index] + blobs.yy[index]) / 2
    spread = np.sqrt(((blobs.xx[index] - blobs.yy[index]) / 2) ** 2 + blobs.xy[index] ** 2)
    longer = float(np.median(np.sqrt((middle + spread) / np.maximum(middle - spread, 0.1))))
    peaked = float(np.median([peakedness(observation, int(i)) for i in index]))
    size = "large" if area > limits.large_area * observation.height * observation.width else "small"
    return _named(peaked, longer, area, limits), size


def peakedness(observation: Observation, blob: int) -> float:
    """Mean fourth power over squared mean square of the distances from a blob's centre.

    It depends on the shape alone: 4/3 for a disc, 7/5 for a square, 8/5 for an equilateral
    triangle (integrals over the shapes). Pixels count by the share of them that is covered.
    """
    blobs = observation.blobs
    frame = blobs.frame[blob]
    y, x = np.nonzero(blobs.labels[frame] == blob + 1)
    weight = np.clip(blobs.share[frame][y, x], 0, 1)
    weight /= max(float(weight.sum()), 1e-9)
    squares = (x - blobs.x[blob]) ** 2 + (y - blobs.y[blob]) ** 2
    return float((weight * squares**2).sum() / max(float((weight * squares).sum()) ** 2, 1e-9))


def _named(peaked: float, longer: float, area: float, limits: Thresholds) -> frozenset[str]:
    """Shapes that the measures allow: two where they lie between two shapes."""
    if longer > limits.elongated:
        return frozenset({"bar"})
    square = limits.square_peak + limits.peak_blur / max(area, 1.0)
    found = set()
    if peaked < square + limits.peak_error:
        found.add("ball")
    if square - limits.peak_error < peaked < limits.triangle_peak + 2 * limits.peak_error:
        found.add("cube")
    if peaked > limits.triangle_peak - 2 * limits.peak_error:
        found.add("triangle")
    return frozenset(found)
