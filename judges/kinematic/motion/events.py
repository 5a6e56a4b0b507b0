"""What happens in a clip: which of the events of the prompt language its motions can be."""

from __future__ import annotations

import numpy as np

from ..seeing.blobs import LINE
from ..thresholds import Thresholds
from .energy import is_sprung
from .kinds import Kinds
from .motion import Motion, Observation


def possible_events(observation: Observation, kinds: Kinds, limits: Thresholds) -> frozenset[str]:
    """Names of the events that the clip can show, from its layout and first motions.

    Broken laws change how an event goes on, so the decision rests on how it begins: who hangs,
    floats, stands in a row, lies on what, and who moves first.
    """
    for there, event in (
        (kinds.liquids, {"pour"}),
        (kinds.pools, {"buoyancy", _outcome(observation, kinds)}),
        (kinds.crowds, {"dominoes"}),
    ):
        if there:
            return frozenset(event)
    return _of_solids(observation, kinds, limits)


def _of_solids(observation: Observation, kinds: Kinds, limits: Thresholds) -> frozenset[str]:
    """Events of solid things: something hangs, lies on a plank, or there are one or two."""
    solids = [observation.motions[i] for i in kinds.solids]
    early = [own for own in solids if own.seen[: observation.stride + 1].any()]
    hanging = [own for own in early if _hangs(own)]
    if hanging:
        return frozenset({"spring" if is_sprung(own) else "pendulum" for own in hanging})
    if _on_plank(observation, early):
        return frozenset({"lever"})
    if len(early) >= 2:
        return _of_two(observation, early, limits)
    return _of_one(observation, early, kinds, limits) if early else frozenset()


def _outcome(observation: Observation, kinds: Kinds) -> str:
    """Whether the lowest thing in the water lies nearer to its floor or to its surface."""
    if not kinds.pools:
        return ""
    pool = observation.motions[kinds.pools[0]]
    ends = [observation.motions[i] for i in kinds.solids if observation.motions[i].seen.any()]
    if not ends:
        return ""
    own = max(ends, key=lambda motion: np.nanmedian(motion.area))
    middle = np.nanmedian(own.y[own.seen][-3 * observation.stride :])
    surface, floor = np.nanmedian(pool.top), np.nanmedian(pool.bottom)
    return "floats" if middle - surface < 0.5 * (floor - surface) else "sinks"


def _hangs(own: Motion) -> bool:
    """Held by a line from the first frames on, and for most of what follows."""
    return bool(own.hung[own.seen][:3].mean() > 0.5 and own.hung[own.seen].mean() > 0.4)


def _on_plank(observation: Observation, solids: list[Motion]) -> bool:
    """Whether a wide thin structure lies below one thing and under another's fall."""
    blobs = observation.blobs
    wide = 0.3 * observation.width
    lines = (blobs.colour == LINE) & (blobs.right - blobs.left > wide)
    lines &= blobs.bottom - blobs.top < 0.6 * (blobs.right - blobs.left)
    fixture = observation.surroundings.fixture.any(axis=0).sum() > wide
    return len(solids) >= 2 and bool(lines.any() or fixture)


def _of_two(observation: Observation, solids: list[Motion], limits: Thresholds) -> frozenset[str]:
    """One above the other: a stack; side by side: a collision."""
    moving = max(solids, key=lambda own: _begins(own, observation))
    still = max(
        (own for own in solids if own is not moving), key=lambda own: np.nanmedian(own.area)
    )
    first = int(max(moving.track.first, still.track.first))
    if not (moving.seen[first] and still.seen[first]):
        return frozenset()
    if _begins(moving, observation) < limits.still and moving.travel < 2:
        return frozenset({"still"})
    across = abs(moving.x[first] - still.x[first])
    above = still.top[first] - moving.bottom[first]
    return frozenset({"stack" if above > -2 and across < still.size else "collide"})


def _begins(own: Motion, observation: Observation) -> float:
    """How far a thing moves in the first three steps that it is seen."""
    seen = np.flatnonzero(own.seen)[: 3 * observation.stride + 1]
    return float(np.hypot(own.x[seen[-1]] - own.x[seen[0]], own.y[seen[-1]] - own.y[seen[0]]))


def _of_one(
    observation: Observation, solids: list[Motion], kinds: Kinds, limits: Thresholds
) -> frozenset[str]:
    """Dropped, thrown, on a ramp, sliding or at rest."""
    own = max(solids, key=lambda motion: np.nanmedian(motion.area))
    if own.travel < 2:
        return frozenset({"still"})
    if _slopes(observation, kinds):
        return frozenset({"ramp"})
    start = np.flatnonzero(own.seen)[: 2 * observation.stride + 1]
    below = observation.surroundings.below
    column = np.clip(np.rint(own.x[start]), 0, observation.width - 1).astype(int)
    height = below[np.rint(own.y[start]).astype(int), column] - (own.bottom[start] - own.y[start])
    if np.median(height) <= limits.flight_gap + 1:
        return frozenset({"slide"})
    sideways = abs(own.x[start[-1]] - own.x[start[0]])
    return frozenset({"throw" if sideways > 1.5 else "drop"})


def _slopes(observation: Observation, kinds: Kinds) -> bool:
    """Whether the top of what stands fixed slopes over a good part of the width."""
    fixed = [observation.motions[i].track.blob[0] + 1 for i in kinds.scenery]
    solid = observation.surroundings.solid | np.isin(observation.blobs.labels[0], fixed)
    if not solid.any():
        return False
    top = np.where(solid.any(axis=0), solid.argmax(axis=0), solid.shape[0]).astype(float)
    rise = np.abs(top[6:] - top[:-6])
    return bool(((rise >= 1) & (rise <= 8)).mean() > 0.25)
