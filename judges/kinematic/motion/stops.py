"""Dead stops: what moves does not come to rest at once unless something stops it."""

from __future__ import annotations

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .motion import Observation, Series, clearance


def check_stops(
    observation: Observation, things: list[int], pools: list[int], limits: Thresholds
) -> list[Finding]:
    """Sudden stops without a new contact; water does not count as one."""
    findings = []
    for thing in things:
        found = _dead_stop(observation, thing, pools, limits) or _hangs_still(
            observation, thing, limits
        )
        if found:
            findings.append(found)
    return findings


def _dead_stop(
    observation: Observation, thing: int, pools: list[int], limits: Thresholds
) -> Finding | None:
    own, stride = observation.motions[thing], observation.stride
    stop = _rest_begins(own.x, own.y, observation.fps, limits)
    if stop is None or stop - own.track.first < 2 * stride:
        return None
    back = np.maximum(stop - stride * np.arange(4), own.track.first)
    speeds = np.hypot(np.diff(own.x[back]), np.diff(own.y[back]))  # newest first
    newest, last, before = speeds
    # The stop lies somewhere in the newest step, so its speed is only partly left.
    slowing = max(before - last, 0.0)
    gaining = last > before + limits.gaining_step
    least = limits.gaining_stop_speed if gaining else limits.stop_speed
    limit = max(least, limits.stop_ratio * slowing)
    if last <= limit or not np.isfinite(speeds).all():
        return None
    if _new_contact(observation, thing, pools, stop, limits):
        return None
    return Finding(
        "freezes", int(stop), thing, float(last / limit),
        f"it moves by {before:.1f}, {last:.1f} and {newest:.1f} px per step, then not at all, "
        "and touches nothing new",
    )  # fmt: skip


def _hangs_still(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    """A swinging thing that is at rest less than half a second after a wide swing."""
    own = observation.motions[thing]
    stop = _rest_begins(own.x, own.y, observation.fps, limits)
    if stop is None or own.hung[:stop].mean() < 0.5:
        return None
    before = slice(max(0, stop - round(limits.calming_seconds * observation.fps)), stop + 1)
    swing = float(np.hypot(np.ptp(own.x[before]), np.ptp(own.y[before])))
    if swing <= limits.last_swing:
        return None
    return Finding(
        "freezes", stop, thing, swing / limits.last_swing,
        f"it swings over {swing:.1f} px and hangs still {limits.calming_seconds} s later",
    )  # fmt: skip


def _rest_begins(x: Series, y: Series, fps: float, limits: Thresholds) -> int | None:
    """First frame from which on the thing rests to the end of its track."""
    seen = np.flatnonzero(np.isfinite(x))
    if len(seen) < 4 or seen[-1] - seen[0] + 1 != len(seen):
        return None
    away = np.hypot(x[seen] - np.median(x[seen[-3:]]), y[seen] - np.median(y[seen[-3:]]))
    moving = np.flatnonzero(away > limits.still)
    if not len(moving):
        return None
    stop = int(seen[moving[-1]] + 1)
    if (seen[-1] - stop) / fps < limits.still_seconds:
        return None
    return stop


def _new_contact(
    observation: Observation, thing: int, pools: list[int], stop: int, limits: Thresholds
) -> bool:
    """Whether the thing came into touch with something within the last steps."""
    own = observation.motions[thing]
    window = slice(max(0, stop - 3 * observation.stride), stop + 2)
    near = [own.edge[window], own.solid_gap[window] <= limits.landing_gap]
    near += [
        touching[window]
        for other, touching in enumerate(observation.touching[thing])
        if other not in pools
    ]
    if observation.surroundings.planks_move and (own.held & ~own.hung)[window].any():
        return True  # a plank that bears it may have stopped
    fall = own.y[stop] - own.y[window.start], own.x[stop] - own.x[window.start]
    if abs(fall[0]) > abs(fall[1]) and own.solid_gap[stop] <= limits.landing_gap:
        return True
    gap = clearance(observation, thing)
    near.append((gap[window] <= limits.flight_gap) & (own.solid_gap[window] > limits.flight_gap))
    if pools:
        near.pop()
    return any(bool(flags.any() and not flags.all()) for flags in near)
