"""From blobs to tracks: the same thing in frame after frame, by colour, place and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..thresholds import Thresholds
from .blobs import Blobs


@dataclass(frozen=True, slots=True)
class Track:
    """One thing over time.

    Args:
        colour: Index into the palette.
        blob: (T,) index of the blob in each frame, -1 where the thing is not seen.
    """

    colour: int
    blob: NDArray[np.intp]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) whether the thing is seen in each frame."""
        return self.blob >= 0

    @property
    def first(self) -> int:
        """First frame in which it is seen."""
        return int(np.argmax(self.seen))

    @property
    def last(self) -> int:
        """Last frame in which it is seen."""
        return len(self.blob) - 1 - int(np.argmax(self.seen[::-1]))

    def read(self, column: NDArray[np.generic]) -> NDArray[np.float64]:
        """(T,) values of a blob column along the track, NaN where not seen."""
        values = np.full(len(self.blob), np.nan)
        values[self.seen] = column[self.blob[self.seen]]
        return values


def find_tracks(blobs: Blobs, frames: int, limits: Thresholds) -> list[Track]:
    """Link the blobs of each colour over the frames; every solid blob is in exactly one track."""
    tracks: list[Track] = []
    for colour in range(len(blobs.palette)):
        of_colour = np.flatnonzero(blobs.colour == colour)
        if len(of_colour):
            tracks += _link(blobs, of_colour, frames, limits)
    return tracks


def _link(blobs: Blobs, indices: NDArray[np.intp], frames: int, limits: Thresholds) -> list[Track]:
    """Tracks of one colour, frame by frame: first near ones, then jumps of what is left."""
    paths: list[NDArray[np.intp]] = []
    in_frame = blobs.frame[indices]
    for frame in range(frames):
        free = list(indices[in_frame == frame])
        idle = list(range(len(paths)))
        for jump in (False, True):
            for path, blob in _match(blobs, paths, idle, free, frame, limits, jump=jump):
                paths[path][frame] = blob
                idle.remove(path)
                free.remove(blob)
        for blob in free:
            path_of_new = np.full(frames, -1, dtype=np.intp)
            path_of_new[frame] = blob
            paths.append(path_of_new)
    colour = int(blobs.colour[indices[0]])
    return [Track(colour, path) for path in paths]


def _match(
    blobs: Blobs,
    paths: list[NDArray[np.intp]],
    idle: list[int],
    free: list[np.intp],
    frame: int,
    limits: Thresholds,
    *,
    jump: bool,
) -> list[tuple[int, np.intp]]:
    """Cheapest pairing of tracks without a blob and blobs without a track.

    A near pair lies within reach of where the track was or where its speed takes it. A jump may
    go anywhere (whether it was lawful is for the laws to say), but keeps the thing's size.
    """
    if not idle or not free:
        return []
    cost = np.empty((len(idle), len(free)))
    for row, path in enumerate(idle):
        cost[row] = _distances(blobs, paths[path], np.array(free), frame, limits, jump=jump)
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e9))
    return [
        (idle[row], free[column])
        for row, column in zip(rows, columns, strict=True)
        if np.isfinite(cost[row, column])
    ]


def _distances(
    blobs: Blobs,
    path: NDArray[np.intp],
    free: NDArray[np.intp],
    frame: int,
    limits: Thresholds,
    *,
    jump: bool,
) -> NDArray[np.float64]:
    """Distance of each free blob from the track's expected places; infinite if out of reach."""
    past = path[:frame]
    known = np.flatnonzero(past >= 0)[-2:]
    last = past[known[-1]]
    gap = frame - known[-1]
    place = np.array([blobs.x[last], blobs.y[last]])
    speed = np.zeros(2)
    if len(known) == 2 and known[1] - known[0] <= 2:
        before = past[known[0]]
        speed = (place - [blobs.x[before], blobs.y[before]]) / (known[1] - known[0])
    at = np.stack([blobs.x[free], blobs.y[free]], axis=1)
    away = np.hypot(*(at - place - speed * gap).T)
    stay = np.hypot(*(at - place).T)
    size = np.sqrt(blobs.area[last])
    ratio = blobs.area[free] / blobs.area[last]
    if jump:
        alike = (ratio > 1 / limits.jump_size) & (ratio < limits.jump_size)
        return np.where(alike, away, np.inf)
    reach = limits.reach * size + 0.7 * np.hypot(*speed) * gap
    nearest = np.minimum(away, stay)
    return np.where(nearest <= reach, nearest + 0.2 * size * np.abs(np.log(ratio)), np.inf)
