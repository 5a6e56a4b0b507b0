"""Free flight: what nothing touches falls, everything in a clip at one rate."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .motion import (
    Flags,
    Motion,
    Observation,
    Series,
    clearance,
    may_touch,
)


@dataclass(frozen=True, slots=True)
class Flight:
    """A stretch of free flight.

    Args:
        thing: Index of the thing.
        start, stop: First and last frame, both included.
    """

    thing: int
    start: int
    stop: int


def free_steps(observation: Observation, thing: int, limits: Thresholds) -> Flags:
    """(T - 1,) whether a thing surely touches nothing from one frame to the next."""
    own = observation.motions[thing]
    gap = clearance(observation, thing)
    if own.hung[own.seen].mean() > limits.hung_share:  # its rod is faint in the other frames
        return np.zeros(len(own.x) - 1, dtype=bool)
    free = own.seen & ~own.edge & ~_closed(own.held) & (gap > limits.flight_gap)
    flags: Flags = free[:-1] & free[1:] & ~may_touch(own, gap, limits)
    return flags


def _closed(flags: Flags) -> Flags:
    """Fill gaps of up to two frames, in which a faint line was not seen."""
    filled = flags.copy()
    where = np.flatnonzero(flags)
    for before, after in itertools.pairwise(where):
        if after - before <= 3:
            filled[before:after] = True
    if len(where) and len(flags) - where[-1] <= 3:
        filled[where[-1] :] = True
    if len(where) and where[0] <= 2:
        filled[: where[0]] = True
    return filled


def find_flights(observation: Observation, limits: Thresholds) -> list[Flight]:
    """Stretches of free flight of at least two steps."""
    flights = []
    for thing in range(len(observation.motions)):
        steps = np.concatenate([[0], free_steps(observation, thing, limits), [0]]).astype(int)
        starts, stops = np.flatnonzero(np.diff(steps) == 1), np.flatnonzero(np.diff(steps) == -1)
        flights += [
            Flight(thing, int(start), int(stop))
            for start, stop in zip(starts, stops, strict=True)
            if stop - start >= 2 * observation.stride
        ]
    return flights


def second_differences(values: Series, stride: int) -> Series:
    """Change of the change over steps of ``stride`` frames, per step squared."""
    out: Series = values[2 * stride :] - 2 * values[stride:-stride] + values[: -2 * stride]
    return out


def measure_gravity(
    observation: Observation, flights: list[Flight], limits: Thresholds
) -> float | None:
    """Downward acceleration in pixels per stride^2 that most falling things share.

    Stretches that rise or hover do not count; ``None`` if nothing falls.
    """
    least = weakest_gravity(observation, limits)
    values = []
    for flight in flights:
        y = observation.motions[flight.thing].y[flight.start : flight.stop + 1]
        bends = second_differences(y, observation.stride)
        values += bends[bends > max(least, 0.3)].tolist()
    return float(np.median(values)) if values else None


def weakest_gravity(observation: Observation, limits: Thresholds) -> float:
    """The least believable gravity in pixels per stride^2."""
    step = observation.stride / observation.fps
    return limits.weakest_gravity * observation.height * step**2


def check_flights(
    observation: Observation, flights: list[Flight], gravity: float | None, limits: Thresholds
) -> list[Finding]:
    """Flights that are no parabola with the clip's gravity."""
    findings = []
    for flight in flights:
        finding = _check(observation, flight, gravity, limits)
        if finding:
            findings.append(finding)
    return findings


def _check(
    observation: Observation, flight: Flight, gravity: float | None, limits: Thresholds
) -> Finding | None:
    own = observation.motions[flight.thing]
    frames = slice(flight.start, flight.stop + 1)
    x, y = own.x[frames], own.y[frames]
    stride = observation.stride
    time = np.arange(len(x)) / stride
    pull = gravity if gravity is not None else _own_gravity(observation, time, y, limits)
    off_x, off_y = _residual(time, x), _residual(time, y - 0.5 * pull * time**2)
    bends_x, bends_y = second_differences(x, stride), second_differences(y, stride) - pull
    slack = limits.curvature_error + limits.gravity_spread * pull
    miss = max(
        np.hypot(off_x, off_y).max() / limits.flight_error,
        np.hypot(bends_x, bends_y).max() / slack,
    )
    if miss <= 1:
        return None
    worst = int(np.hypot(bends_x, bends_y).argmax())
    frame = flight.start + worst + stride
    return Finding(
        _name(observation, own, flight, bends_y[worst] + pull, pull),
        frame,
        flight.thing,
        float(miss),
        f"in the air without support it accelerates by {bends_y[worst] + pull:.2f} px/step^2 "
        f"downward and {bends_x[worst]:.2f} sideways, where the clip's gravity is {pull:.2f}",
    )


def _own_gravity(observation: Observation, time: Series, y: Series, limits: Thresholds) -> float:
    """The flight's own downward acceleration, at least the least believable one."""
    bend = 2 * float(np.polyfit(time, y, 2)[0]) if len(time) > 2 else 0.0
    return max(bend, weakest_gravity(observation, limits))


def _residual(time: Series, values: Series) -> Series:
    """What a straight line does not explain."""
    slope, start = np.polyfit(time, values, 1)
    residual: Series = values - slope * time - start
    return residual


def _name(observation: Observation, own: Motion, flight: Flight, bend: float, pull: float) -> str:
    """What an unlawful flight looks like."""
    if bend < -0.25 * pull:
        return "falls_upward"
    end = slice(max(flight.start, flight.stop - 2 * observation.stride), flight.stop + 1)
    still = np.ptp(own.x[end]) < 0.5 and np.ptp(own.y[end]) < 0.5
    return "freezes" if still else "levitates"
