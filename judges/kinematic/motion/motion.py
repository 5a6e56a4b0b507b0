"""How each thing moves: places, contacts and support over time, and speeds between frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..seeing.blobs import LINE, Blobs
from ..seeing.track import Track
from ..thresholds import Thresholds
from .contact import Surroundings

Series = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Motion:
    """One thing over T frames; NaN or False where it is not seen. Lengths in working pixels.

    Args:
        track: Its blobs.
        x, y: Centre, y downward.
        area: Pixels.
        left, top, right, bottom: Bounding box.
        edge: It reaches the frame's edge.
        solid_gap: Empty pixels to the nearest fixed solid (floor, ramp).
        held: It touches a thin line: a string, rod, spring or plank.
        hung: ... one that comes from above.
    """

    track: Track
    x: Series
    y: Series
    area: Series
    left: Series
    top: Series
    right: Series
    bottom: Series
    edge: Flags
    solid_gap: Series
    held: Flags
    hung: Flags

    @property
    def seen(self) -> Flags:
        """(T,) whether it is seen."""
        return self.track.seen

    @property
    def size(self) -> float:
        """Typical length: square root of the median area."""
        return float(np.sqrt(np.nanmedian(self.area)))

    @property
    def travel(self) -> float:
        """Greatest extent of its path in x or y; 0 for a thing at rest."""
        return float(
            max(np.nanmax(self.x) - np.nanmin(self.x), np.nanmax(self.y) - np.nanmin(self.y))
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything measured in a clip.

    Args:
        fps: Frames per second.
        stride: Frames in about an eighth of a second, over which accelerations are measured.
        height, width: Working size of the picture.
        motions: The things.
        touching: (N, N, T) which things touch in which frame.
        surroundings: Fixed solids.
        blobs: Pieces the things are made of.
    """

    fps: float
    stride: int
    height: int
    width: int
    motions: list[Motion]
    touching: Flags
    surroundings: Surroundings
    blobs: Blobs


def observe(
    blobs: Blobs,
    tracks: list[Track],
    surroundings: Surroundings,
    fps: float,
    limits: Thresholds,
) -> Observation:
    """Put the measurements of each track together."""
    frames, height, width = blobs.labels.shape
    motions = [_motion(track, blobs, surroundings, limits) for track in tracks]
    return Observation(
        fps=fps,
        stride=max(1, round(fps * limits.step_seconds)),
        height=height,
        width=width,
        motions=motions,
        touching=_touching(tracks, blobs, surroundings, frames),
        surroundings=surroundings,
        blobs=blobs,
    )


def _motion(track: Track, blobs: Blobs, surroundings: Surroundings, limits: Thresholds) -> Motion:
    held = track.read(surroundings.line_gap) <= limits.hold_gap
    hung = held.copy()
    for frame in np.flatnonzero(held):
        hung[frame] = _line_above(blobs, int(track.blob[frame]))
    return Motion(
        track=track,
        x=track.read(blobs.x),
        y=track.read(blobs.y),
        area=track.read(blobs.area),
        left=track.read(blobs.left),
        top=track.read(blobs.top),
        right=track.read(blobs.right),
        bottom=track.read(blobs.bottom),
        edge=track.read(surroundings.edge) == 1,
        solid_gap=track.read(surroundings.solid_gap),
        held=held,
        hung=hung,
    )


def _line_above(blobs: Blobs, blob: int) -> bool:
    """Whether more line pixels touch a blob's upper half than its lower half."""
    labels = blobs.labels[blobs.frame[blob]]
    top, middle = max(0, blobs.top[blob] - 3), round(blobs.y[blob])
    columns = slice(max(0, blobs.left[blob] - 3), blobs.right[blob] + 4)
    line = np.append([False], blobs.colour == LINE)[labels[:, columns]]
    return bool(line[top:middle].sum() > line[middle : blobs.bottom[blob] + 4].sum())


def _touching(tracks: list[Track], blobs: Blobs, surroundings: Surroundings, frames: int) -> Flags:
    owner = np.full(len(blobs.frame), -1, dtype=np.intp)
    for index, track in enumerate(tracks):
        owner[track.blob[track.seen]] = index
    touching = np.zeros((len(tracks), len(tracks), frames), dtype=bool)
    one, other = surroundings.pairs.T
    both = (owner[one] >= 0) & (owner[other] >= 0) & (owner[one] != owner[other])
    one, other = one[both], other[both]
    touching[owner[one], owner[other], blobs.frame[one]] = True
    touching[owner[other], owner[one], blobs.frame[one]] = True
    return touching


def box_gap(one: Motion, other: Motion) -> Series:
    """(T,) empty pixels between the boxes of two things; 0 if they meet."""
    across = np.maximum(one.left - other.right, other.left - one.right) - 1
    along = np.maximum(one.top - other.bottom, other.top - one.bottom) - 1
    gap: Series = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    return gap


def clearance(observation: Observation, thing: int) -> Series:
    """(T,) empty pixels between a thing and whatever is nearest, by boxes for other things."""
    own = observation.motions[thing]
    gap = own.solid_gap.copy()
    for index, other in enumerate(observation.motions):
        if index == thing:
            continue
        gap = np.fmin(gap, box_gap(own, other))
    return gap


def may_touch(own: Motion, gap: Series, limits: Thresholds) -> Flags:
    """(T - 1,) whether a thing can have touched and left something between two frames."""
    step = np.hypot(np.diff(own.x), np.diff(own.y))
    padded = np.pad(step, 1, constant_values=np.nan)
    longest = np.fmax(step, np.fmax(padded[:-2], padded[2:]))
    flags: Flags = gap[:-1] + gap[1:] <= limits.bounce_room * longest + 1
    return flags
