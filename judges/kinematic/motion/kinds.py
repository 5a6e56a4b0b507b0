"""What sort of thing each track is: a solid, one of a row, water in a vessel, poured liquid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..seeing.blobs import LINE
from ..thresholds import Thresholds
from .motion import Motion, Observation


@dataclass(frozen=True, slots=True)
class Kinds:
    """Indices of the things by kind; colours by index into the palette.

    Args:
        solids: Things that are followed one by one.
        pools: Large still areas between walls.
        crowds: Colours of rows of like things.
        liquids: Colours of liquids that flow.
        scenery: Still things that are cut by the frame's edge, such as ramps.
    """

    solids: list[int]
    pools: list[int]
    crowds: list[int]
    liquids: list[int]
    scenery: list[int]


def sort_things(observation: Observation, limits: Thresholds) -> Kinds:
    """Tell solids, rows, pools and liquids apart; specks and fragments are left out."""
    liquids = [c for c in _colours(observation) if _flows(observation, c, limits)]
    large = [
        index
        for index, own in enumerate(observation.motions)
        if own.seen.sum() >= limits.thing_frames
        and np.nanmedian(own.area) >= limits.thing_area
        and own.track.colour not in liquids
    ]
    pools = [i for i in large if _is_pool(observation, observation.motions[i], limits)]
    wet = {observation.motions[i].track.colour for i in pools}
    rest = [i for i in large if observation.motions[i].track.colour not in wet]
    scenery = [i for i in rest if _is_scenery(observation.motions[i], limits)]
    rest = [i for i in rest if i not in scenery]
    dry = {observation.motions[i].track.colour for i in rest}
    crowds = [c for c in sorted(dry) if row_members(observation, c, limits)]
    solids = [
        i
        for i in rest
        if observation.motions[i].track.colour not in crowds
        and not _is_fragment(observation, i, rest, limits)
        and not (liquids and _is_vessel(observation, i, liquids))
    ]
    return Kinds(solids, pools, crowds, liquids, scenery)


def _colours(observation: Observation) -> list[int]:
    return list(range(len(observation.blobs.palette)))


def _is_scenery(own: Motion, limits: Thresholds) -> bool:
    """Seen all the time at one place at the frame's edge."""
    return bool(own.edge.mean() > 0.9 and own.travel < limits.ramp_travel)


def _is_pool(observation: Observation, own: Motion, limits: Thresholds) -> bool:
    """Large, at rest on its lower edge, with a wall or line on either side."""
    if (
        own.area.max(initial=0, where=own.seen)
        < limits.pool_share * observation.blobs.labels[0].size
    ):
        return False
    if np.nanmax(own.bottom) - np.nanmin(own.bottom) > 2:
        return False
    frame = int(own.track.first)
    labels = observation.blobs.labels[frame]
    structure = (
        observation.surroundings.fixture
        | np.append([False], observation.blobs.colour == LINE)[labels]
    )
    row = slice(int(own.top[frame]) + 3, int(own.bottom[frame]) - 1)
    left, right = int(own.left[frame]), int(own.right[frame])
    sides = structure[row, max(0, left - 4) : left + 2], structure[row, right - 1 : right + 5]
    return all(side.size and side.any(axis=1).mean() > 0.6 for side in sides)


def row_members(observation: Observation, colour: int, limits: Thresholds) -> list[int]:
    """Blobs of one colour, left to right, in the first of two frames that shows enough of them."""
    blobs = observation.blobs
    own = (blobs.colour == colour) & (blobs.area >= limits.thing_area)
    for frame in (0, 1):
        members = np.flatnonzero(own & (blobs.frame == frame))
        if len(members) >= limits.crowd:
            return [int(i) for i in members[np.argsort(blobs.x[members])]]
    return []


def _is_fragment(
    observation: Observation, thing: int, things: list[int], limits: Thresholds
) -> bool:
    """A small piece that keeps its place on a larger thing: a rim, a highlight, a shadow."""
    own = observation.motions[thing]
    for index in things:
        host = observation.motions[index]
        if index == thing or np.nanmedian(own.area) > 0.6 * np.nanmedian(host.area):
            continue
        both = own.seen & host.seen
        if both.sum() < 0.8 * own.seen.sum():
            continue
        inside = (
            (own.left >= host.left - limits.part_margin - 1)
            & (own.right <= host.right + limits.part_margin + 1)
            & (own.top >= host.top - limits.part_margin - 1)
            & (own.bottom <= host.bottom + limits.part_margin + 1)
        )
        slip = np.ptp(own.x[both] - host.x[both]), np.ptp(own.y[both] - host.y[both])
        if inside[both].mean() > 0.8 and max(slip) < limits.part_slip:
            return True
    return False


def _is_vessel(observation: Observation, thing: int, liquids: list[int]) -> bool:
    """Whether a piece keeps touching lines or the liquid: a wall that the liquid shines through."""
    own = observation.motions[thing]
    wet = [i for i, m in enumerate(observation.motions) if m.track.colour in liquids]
    near = own.held | observation.touching[thing][wet].any(axis=0)
    return bool(near[own.seen].mean() > 0.8)


def _flows(observation: Observation, colour: int, limits: Thresholds) -> bool:
    """Whether a colour grows a thin stream below a wide body that is still there.

    A bob that hangs below a spring of its colour is no body: only the thin spring is above it.
    """
    blobs = observation.blobs
    bodies = np.flatnonzero((blobs.colour == colour) & (blobs.frame == 0))
    if not len(bodies):
        return False
    body = bodies[blobs.area[bodies].argmax()]
    if blobs.area[body] < limits.body_share * blobs.area[bodies].sum():
        return False
    widest = limits.stream_width * min(observation.height, observation.width) / 64
    longest = limits.stream_length * min(observation.height, observation.width) / 64
    mask = np.append([False], blobs.colour == colour)[blobs.labels]
    above = (mask[:, : blobs.bottom[body] + 1].sum(axis=2) > widest).sum(axis=1)
    below = (mask & ~mask[0])[:, blobs.bottom[body] + 1 :].sum(axis=2)
    thin = ((below > 0) & (below <= widest)).sum(axis=1)
    return bool(((thin >= longest) & (above >= limits.body_rows)).sum() >= 2)
