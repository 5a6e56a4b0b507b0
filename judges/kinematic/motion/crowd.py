"""Rows of like things, such as dominoes, which merge when they fall: followed by their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .kinds import Kinds, row_members
from .liquid import areas
from .motion import Flags, Observation, Series


@dataclass(frozen=True, slots=True)
class Row:
    """A row of like things, ordered from left to right.

    Args:
        x: (M,) where they stood at first.
        width, height: Of one of them.
        area: Of one of them.
        standing: (M, T) whether the upper half of each one's place is covered.
    """

    x: Series
    width: float
    height: float
    area: float
    standing: Flags


def check_crowds(observation: Observation, kinds: Kinds, limits: Thresholds) -> list[Finding]:
    """Rows that lose a member, fall out of turn, stop falling, or let something through."""
    findings = []
    for colour in kinds.crowds:
        row = _row(observation, colour, limits)
        checks = (
            _loses(observation, colour, row, limits),
            _out_of_turn(observation, row),
            _stops(observation, row, limits),
            *(_lets_through(observation, row, thing, limits) for thing in kinds.solids),
        )
        findings += [found for found in checks if found]
    return findings


def _row(observation: Observation, colour: int, limits: Thresholds) -> Row:
    blobs = observation.blobs
    members = row_members(observation, colour, limits)
    frame = int(blobs.frame[members[0]])
    mask = np.append([False], blobs.colour == colour)[blobs.labels]
    standing = []
    for member in members:
        top, bottom = blobs.top[member], blobs.bottom[member]
        half = slice(top, top + max(2, (bottom - top + 1) // 2))
        place = mask[:, half, blobs.left[member] : blobs.right[member] + 1]
        full = place[frame].sum()
        standing.append(place.sum(axis=(1, 2)) > limits.member_standing * full)
    return Row(
        x=blobs.x[members],
        width=float(np.median(blobs.right[members] - blobs.left[members] + 1)),
        height=float(np.median(blobs.bottom[members] - blobs.top[members] + 1)),
        area=float(np.median(blobs.area[members])),
        standing=np.array(standing),
    )


def _falls(row: Row) -> np.ndarray:
    """(M,) frame in which each member leaves its place; T if it never does."""
    down = ~row.standing
    frames = down.shape[1]
    falls: np.ndarray = np.where(down.any(axis=1), down.argmax(axis=1), frames)
    return falls


def _loses(observation: Observation, colour: int, row: Row, limits: Thresholds) -> Finding | None:
    """The row's area drops by about one member in one step, and stays lower."""
    area = areas(observation, colour)
    if _at_edge(observation, colour):
        return None
    drop = -np.diff(area)
    frame = int(drop.argmax())
    later = area[frame + 1 :]
    lasting = area[frame] - float(np.median(later[: 2 * observation.stride + 1]))
    least = limits.member_loss * row.area
    if drop[frame] <= least or lasting <= least:
        return None
    return Finding(
        "vanishes", frame + 1, -1, float(drop[frame] / least),
        f"a row of things of {row.area:.0f} px^2 loses {drop[frame]:.0f} px^2 in one frame",
    )  # fmt: skip


def _at_edge(observation: Observation, colour: int) -> bool:
    """Whether part of the row leaves the picture."""
    own = observation.blobs.colour == colour
    return bool(observation.surroundings.edge[own].any())


def _out_of_turn(observation: Observation, row: Row) -> Finding | None:
    """A member that falls while its neighbours stand and nothing else is near."""
    falls = _falls(row)
    frames = row.standing.shape[1]
    for index, frame in enumerate(falls):
        if frame == frames:
            continue
        near = [falls[i] for i in (index - 1, index + 1) if 0 <= i < len(falls)]
        if min(near) <= frame + observation.stride or _visited(observation, row, index, frame):
            continue
        return Finding(
            "moves_untouched", int(frame), -1, 2.0,
            f"number {index + 1} of a row falls before its neighbours and untouched",
        )  # fmt: skip
    return None


def _visited(observation: Observation, row: Row, index: int, frame: int) -> bool:
    """Whether a thing of another colour is beside a member's place about a frame."""
    window = slice(max(0, frame - 2 * observation.stride), frame + 1)
    colours = {m.track.colour for m in observation.motions if abs(m.x[0] - row.x[index]) < 1}
    for own in observation.motions:
        if own.track.colour in colours:
            continue
        gap = np.fmax(own.left - row.x[index], row.x[index] - own.right)[window]
        if (gap < row.width + 3).any():
            return True
    return False


def _stops(observation: Observation, row: Row, limits: Thresholds) -> Finding | None:
    """A member still stands long after the neighbour within its reach fell towards it."""
    falls = _falls(row)
    frames = row.standing.shape[1]
    wait = limits.member_delay * observation.fps
    for index in range(len(falls) - 1):
        for fallen, other in ((index, index + 1), (index + 1, index)):
            if (
                falls[other] == frames
                and frames - 1 - falls[fallen] > wait
                and row.x[index + 1] - row.x[index] < row.height
            ):
                return Finding(
                    "no_reaction", int(min(falls[fallen] + wait, frames - 1)), -1, 2.0,
                    f"number {other + 1} of a row still stands "
                    f"{(frames - 1 - falls[fallen]) / observation.fps:.1f} s after its neighbour "
                    "began to fall",
                )  # fmt: skip
    return None


def _lets_through(
    observation: Observation, row: Row, thing: int, limits: Thresholds
) -> Finding | None:
    """A thing that moves past members which keep standing."""
    own = observation.motions[thing]
    floor = np.nanmax(own.bottom)
    for index, x in enumerate(row.x):
        side = np.sign(own.x - x)
        known = np.flatnonzero(np.isfinite(side) & (own.bottom > floor - 0.6 * row.height))
        crossed = known[:-1][side[known[:-1]] * side[known[1:]] < 0]
        for frame in crossed:
            later = row.standing[index, frame + observation.stride + 1 :]
            if len(later) and later.mean() > 0.8:
                return Finding(
                    "passes_through", int(frame), thing, 2.0,
                    f"it passes number {index + 1} of a row, which keeps standing",
                )  # fmt: skip
    return None
