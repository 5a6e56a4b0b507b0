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
        seen.append(Seen(colour_name(palette[own.track.colour]), shapes, size))
    for colour in kinds.crowds:
        seen.append(Seen(colour_name(palette[colour]), frozenset({"bar"}), "large"))
    for colour in kinds.liquids:
        seen.append(Seen(colour_name(palette[colour]), frozenset({"liquid"}), "large"))
    return seen


def _shape(observation: Observation, own: Motion, limits: Thresholds) -> tuple[frozenset[str], str]:
    """Shape by roundness and elongation, in the first frames that show it whole."""
    blobs = observation.blobs
    whole = np.flatnonzero(own.seen & ~own.edge)[:6]
    if not len(whole):
        whole = np.flatnonzero(own.seen)[:6]
    index = own.track.blob[whole]
    area = float(np.median(blobs.area[index]))
    reach = float(np.median([_reach(observation, int(i)) for i in index])) / np.sqrt(area / np.pi)
    middle = (blobs.xx[index] + blobs.yy[index]) / 2
    spread = np.sqrt(((blobs.xx[index] - blobs.yy[index]) / 2) ** 2 + blobs.xy[index] ** 2)
    longer = float(np.median(np.sqrt((middle + spread) / np.maximum(middle - spread, 0.1))))
    size = "large" if area > limits.large_area * observation.height * observation.width else "small"
    return _named(reach, longer, limits), size


def _reach(observation: Observation, blob: int) -> float:
    """Distance of a blob's farthest pixel from its centre, less half a pixel of rim."""
    blobs = observation.blobs
    labels = blobs.labels[blobs.frame[blob]]
    y, x = np.nonzero(labels == blob + 1)
    return float(np.hypot(x - blobs.x[blob], y - blobs.y[blob]).max())


def _named(reach: float, longer: float, limits: Thresholds) -> frozenset[str]:
    if longer > limits.elongated:
        return frozenset({"bar"})
    if reach < limits.round_reach:
        return frozenset({"ball"})
    if reach > limits.pointed_reach:
        return frozenset({"triangle"})
    return frozenset({"cube"})
