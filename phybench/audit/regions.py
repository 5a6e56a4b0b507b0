"""What moves in a clip with a still camera: found by background subtraction, followed by looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

_CONTRAST = 24
"""Grey levels (of 255) by which a moving pixel differs from the background."""
_SMALLEST, _LARGEST = 0.001, 0.25
"""Area of a thing as a share of the frame; more than the largest means that the camera moves."""
_STEP = 0.4
"""Farthest that a thing moves between two frames, as a share of the frame's height."""
_COLOUR, _SIZE = 60.0, 2.5
"""How far its mean colour may change (grey levels), and by what factor its area."""


@dataclass(frozen=True, slots=True)
class MovingRegion:
    """One moving region, followed through the clip.

    Args:
        masks: Shape (T, H, W); empty where it could not be followed.
        background: Shape (H, W, 3), the clip without what moves.
    """

    masks: NDArray[np.bool_]
    background: Frames

    def visible(self, frame: int) -> bool:
        """Whether the region was found in this frame."""
        return bool(self.masks[frame].any())

    def box(self, frame: int) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of the region where it is visible; ends are exclusive."""
        rows = np.flatnonzero(self.masks[frame].any(axis=1))
        columns = np.flatnonzero(self.masks[frame].any(axis=0))
        return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1

    def centre(self, frame: int) -> NDArray[np.float64]:
        """Mean (row, column) of the region."""
        return np.asarray(np.argwhere(self.masks[frame]).mean(axis=0))


def motion(frames: Frames) -> NDArray[np.float64]:
    """Share of pixels that change between neighbouring frames, shape (T - 1,)."""
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).max(axis=3) > _CONTRAST
    return np.asarray(steps.mean(axis=(1, 2)))


def moving_thing(frames: Frames, start: int) -> MovingRegion | None:
    """The largest thing that moves around a frame, followed to the end of the clip.

    Args:
        frames: Shape (T, H, W, 3).
        start: The frame to begin with.

    Returns:
        The thing, or ``None`` if nothing moves there, or so much that the camera must be moving.
    """
    background = np.median(frames, axis=0).astype(np.uint8)
    differs = np.abs(frames.astype(np.int16) - background).max(axis=3) > _CONTRAST
    if differs.mean(axis=(1, 2)).max() > _LARGEST:
        return None
    changing = np.abs(np.diff(frames.astype(np.int16), axis=0)).max(axis=3) > _CONTRAST
    first = _largest(
        [region for region in _regions(differs[start]) if changing[start - 1][region].any()]
    )
    if first is None:
        return None
    masks = np.zeros(frames.shape[:3], dtype=bool)
    masks[start] = _grown(first)
    current = first
    for number in range(start + 1, len(frames)):
        before = _Look.of(frames[number - 1], current)
        regions = [
            region
            for region in _regions(differs[number])
            if before.fits(_Look.of(frames[number], region), frames.shape[1])
        ]
        if not regions:
            break
        current = min(regions, key=lambda region: before.distance(_Look.of(frames[number], region)))
        masks[number] = _grown(current)
    return MovingRegion(masks, background)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a region is recognised by."""

    centre: NDArray[np.float64]
    colour: NDArray[np.float64]
    area: int

    @classmethod
    def of(cls, frame: Frames, region: NDArray[np.bool_]) -> _Look:
        return cls(np.argwhere(region).mean(axis=0), frame[region].mean(axis=0), int(region.sum()))

    def distance(self, other: _Look) -> float:
        return float(np.linalg.norm(self.centre - other.centre))

    def fits(self, other: _Look, height: int) -> bool:
        return (
            self.distance(other) <= _STEP * height
            and float(np.abs(self.colour - other.colour).max()) <= _COLOUR
            and 1 / _SIZE <= other.area / self.area <= _SIZE
        )


def _regions(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected regions that are large enough to be a thing."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    regions = (labels == number for number in range(1, count + 1))
    return [region for region in regions if region.mean() >= _SMALLEST]


def _largest(regions: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_] | None:
    return max(regions, key=lambda region: int(region.sum()), default=None)


def _grown(mask: NDArray[np.bool_], by: int = 1) -> NDArray[np.bool_]:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, iterations=by))
