"""Energy: what nothing pushes never gains energy, whatever the unknown gravity is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..laws import Finding
from ..thresholds import Thresholds
from .flight import weakest_gravity
from .kinds import Kinds
from .motion import (
    Flags,
    Motion,
    Observation,
    Series,
    box_gap,
    clearance,
    may_touch,
)


def check_energy(
    observation: Observation, kinds: Kinds, gravity: float | None, limits: Thresholds
) -> list[Finding]:
    """Things whose height and speed grow together, and springs whose swings grow."""
    findings = []
    for thing in kinds.solids:
        own = observation.motions[thing]
        if is_sprung(own):
            found = _growing_swings(observation, thing, limits)
        else:
            found = _gain(observation, thing, kinds.pools, gravity, limits)
        if found:
            findings.append(found)
    return findings


def is_sprung(own: Motion) -> bool:
    """Whether a thing hangs on a line and moves straight up and down."""
    held = own.hung[own.seen].mean() > 0.5
    across, along = np.nanmax(own.x) - np.nanmin(own.x), np.nanmax(own.y) - np.nanmin(own.y)
    return bool(held and along > 4 and across < 0.25 * along)


def unpushed(
    observation: Observation, thing: int, pools: list[int], limits: Thresholds
) -> list[Flags]:
    """Masks of the stretches (T,) in which no moving thing, plank or water touches a thing.

    What rests gives no energy away; what moves may touch between two frames.
    """
    own = observation.motions[thing]
    touched = own.held & ~own.hung & observation.surroundings.planks_move
    for index, other in enumerate(observation.motions):
        touching = observation.touching[thing, index]
        if index in pools:
            touched |= touching
        elif index != thing:
            step = np.hypot(np.diff(other.x, prepend=np.nan), np.diff(other.y, prepend=np.nan))
            fastest = np.fmax(step, np.concatenate([[np.nan], step[:-1]]))
            near = touching | (box_gap(own, other) < limits.touch + fastest)
            touched |= near & (fastest > limits.pushing_step)
    seen = own.seen & ~own.edge
    stretch = np.cumsum(touched)
    return [
        mask
        for value in np.unique(stretch)
        if (mask := seen & ~touched & (stretch == value)).sum() >= 3
    ]


def _gain(
    observation: Observation,
    thing: int,
    pools: list[int],
    gravity: float | None,
    limits: Thresholds,
) -> Finding | None:
    """The largest gain of energy under the gravity that explains the motion best."""
    worst: Finding | None = None
    for stretch in unpushed(observation, thing, pools, limits):
        frames, speed, height = _states(observation, thing, stretch, limits)
        if len(frames) < 2:
            continue
        free = limits.height_error if gravity is None else limits.tumbling_height
        pulls = _gravities(observation, gravity, limits)
        excess = _excess(speed, height, pulls, free, limits)
        early, late = np.unravel_index(int(excess.argmax()), excess.shape)
        if excess[early, late] > 1 and (worst is None or excess[early, late] > worst.magnitude):
            worst = Finding(
                "gains_energy", int(frames[late]), thing, float(excess[early, late]),
                f"from {speed[early]:.1f} px/step to {speed[late]:.1f} px/step while "
                f"{height[late] - height[early]:+.1f} px higher",
            )  # fmt: skip
    return worst


def _states(
    observation: Observation, thing: int, stretch: Flags, limits: Thresholds
) -> tuple[NDArray[np.intp], Series, Series]:
    """Frames, speeds (px/stride) and heights of the steps that no bounce can fall into."""
    own, stride = observation.motions[thing], observation.stride
    gap = clearance(observation, thing)
    on = gap <= limits.flight_gap
    bend = np.abs(np.diff(own.y, 2, prepend=np.nan, append=np.nan))
    kink = (np.nan_to_num(bend) > limits.kink) & ~own.hung
    rests = on[:-1] & on[1:] & ~kink[:-1] & ~kink[1:]
    bounce = may_touch(own, gap, limits) & ~rests
    bad = np.concatenate([[0], np.cumsum(bounce | ~stretch[:-1] | ~stretch[1:])])
    start = np.arange(len(own.x) - stride)
    start = start[bad[start + stride] == bad[start]]
    dx, dy = own.x[start + stride] - own.x[start], own.y[start + stride] - own.y[start]
    height = -(own.y[start + stride] + own.y[start]) / 2
    return start, np.hypot(dx, dy), height


def _gravities(observation: Observation, gravity: float | None, limits: Thresholds) -> Series:
    """Believable gravities in px/stride^2: about the measured one, or a wide range."""
    if gravity is not None:
        spread = 1 + limits.gravity_spread
        return gravity * np.array([1 / spread, 1.0, spread])
    least = weakest_gravity(observation, limits)
    return np.geomspace(least, least * limits.strongest_gravity / limits.weakest_gravity, 8)


def _excess(
    speed: Series, height: Series, gravities: Series, free: float, limits: Thresholds
) -> Series:
    """(K, K) gain between two states over what errors explain, for the kindest gravity."""
    kinetic = speed**2 / 2
    more_kinetic = kinetic[None, :] - kinetic[:, None]
    more_height = height[None, :] - height[:, None]
    lost = np.where(more_kinetic < 0, limits.rolling, 1.0) * more_kinetic
    gain = lost + gravities[:, None, None] * more_height
    fastest = np.maximum(speed[None, :], speed[:, None])
    slack = (
        limits.energy_share * np.maximum(kinetic[None, :], kinetic[:, None])
        + limits.speed_error * fastest
        + gravities[:, None, None] * free
    )
    slack = slack + 0.5 * limits.energy_share * gravities[:, None, None] * np.abs(more_height)
    excess = gain / slack
    later = np.arange(len(speed))[None, :] > np.arange(len(speed))[:, None]
    worst_of_each = np.where(later, excess, -np.inf).max(axis=(1, 2))
    kindest: Series = np.where(later, excess[int(worst_of_each.argmin())], -np.inf)
    return kindest


def _growing_swings(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    """A spring's swing that is longer than the one before it."""
    own = observation.motions[thing]
    frames = np.flatnonzero(own.seen)
    y = own.y[frames]
    turns = [*_turning_points(y), len(y) - 1]
    step = np.abs(np.diff(y))
    if step[0] < 0.5 * step.max():  # it starts at rest, that is at a turning point
        turns = [0, *turns]
    swings = np.abs(np.diff([_peak(y, turn) for turn in turns]))
    for index in range(1, len(swings)):
        limit = limits.swing_growth * swings[index - 1] + 2 * limits.height_error
        if swings[index] > limit:
            return Finding(
                "gains_energy", int(frames[turns[index + 1]]), thing,
                float(1 + (swings[index] - limit) / (2 * limits.height_error)),
                f"a swing of {swings[index]:.1f} px follows one of {swings[index - 1]:.1f} px",
            )  # fmt: skip
    return None


def _peak(values: Series, turn: int) -> float:
    """The extreme of the parabola through a turning point and its neighbours."""
    if not 0 < turn < len(values) - 1:
        return float(values[turn])
    before, here, after = values[turn - 1 : turn + 2]
    bend = before - 2 * here + after
    return float(here if bend == 0 else here - (after - before) ** 2 / (8 * bend))


def _turning_points(values: Series) -> list[int]:
    """Inner indices at which a series turns by more than a pixel."""
    turns: list[int] = []
    extreme, direction = 0, 0.0
    for index in range(1, len(values)):
        step = values[index] - values[extreme]
        if direction * step >= 0:
            if abs(step) > 1 or direction:
                extreme, direction = index, direction or float(np.sign(step))
        elif abs(step) > 1:
            turns.append(extreme)
            extreme, direction = index, -direction
    return turns
