"""Impacts: what is hit reacts, nothing moves through anything, nothing starts by itself."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .motion import Flags, Motion, Observation, box_gap


def check_impacts(
    observation: Observation, things: list[int], pools: list[int], limits: Thresholds
) -> list[Finding]:
    """All pairs of things that meet, and all things that meet a fixed solid."""
    findings = []
    boxy = [i for i in things if not _is_slope(observation.motions[i], limits)]
    for one, other in combinations(boxy, 2):
        found = _through(observation, one, other, limits) or _bounce(
            observation, one, other, limits
        )
        if found:
            findings.append(found)
    for thing in things:
        found = _into_solid(observation, thing, limits) or _starts_alone(
            observation, thing, things, limits
        )
        if found:
            findings.append(found)
        found = _covers(observation, thing, things, limits) or _takes_off(
            observation, thing, things, pools, limits
        )
        if found:
            findings.append(found)
    return findings


def _is_slope(own: Motion, limits: Thresholds) -> bool:
    """A ramp: it stays and is higher on one side or cut by the frame, so boxes say nothing."""
    if own.travel > limits.ramp_travel:
        return False
    lean = (own.x - (own.left + own.right) / 2) / (own.right - own.left + 1)
    return bool(abs(np.nanmedian(lean)) > limits.ramp_lean or own.edge[own.seen].mean() > 0.9)


def _through(observation: Observation, one: int, other: int, limits: Thresholds) -> Finding | None:
    """Two things that overlap, or that change sides at one height."""
    a, b = observation.motions[one], observation.motions[other]
    across = np.minimum(a.right, b.right) - np.maximum(a.left, b.left) + 1
    along = np.minimum(a.bottom, b.bottom) - np.maximum(a.top, b.top) + 1
    boxes = [(m.right - m.left + 1) * (m.bottom - m.top + 1) for m in (a, b)]
    share = np.maximum(across, 0) * np.maximum(along, 0) / np.minimum(*boxes)
    large = a if np.nanmedian(a.area) > np.nanmedian(b.area) else b
    filling = large.area / ((large.right - large.left + 1) * (large.bottom - large.top + 1))
    share = np.where(np.isfinite(share) & (filling > limits.box_filling), share, 0)
    deep = np.flatnonzero(share > limits.overlap)
    if len(deep):
        return Finding(
            "passes_through", int(deep[0]), one, float(share.max() / limits.overlap),
            f"the boxes of two things overlap by {100 * share.max():.0f} %",
        )  # fmt: skip
    return _swap(observation, one, other, along, limits)


def _swap(
    observation: Observation, one: int, other: int, along: np.ndarray, limits: Thresholds
) -> Finding | None:
    """Two things that change sides while they are level with each other."""
    a, b = observation.motions[one], observation.motions[other]
    side = np.sign(b.x - a.x)
    level = along > 0.5 * np.fmin(a.bottom - a.top, b.bottom - b.top)
    both = np.flatnonzero(np.isfinite(side) & level)
    for before, after in pairwise(both):
        if side[before] * side[after] < 0 and after - before <= 3 * observation.stride:
            return Finding(
                "passes_through", int(after), one, 2.0,
                "two things change sides at the same height",
            )  # fmt: skip
    return None


def _bounce(observation: Observation, one: int, other: int, limits: Thresholds) -> Finding | None:
    """A sideways collision: the hit thing must move, and they part no faster than they met."""
    a, b = observation.motions[one], observation.motions[other]
    meeting = _meeting(observation, one, other, limits)
    if meeting is None:
        return None
    begin, end = meeting
    stride, last = observation.stride, len(a.x) - 1
    # Things may stay in touch: then the speeds one step into the contact count as those after.
    after = end + 1 if end + 1 + stride <= last else begin + 1
    early, late = begin - 1 - stride, after + stride
    if early < 0 or late > last:
        return None
    speeds = np.array([
        [m.x[begin - 1] - m.x[early], m.x[late] - m.x[after]] for m in (a, b)
    ])  # fmt: skip
    if not np.isfinite(speeds).all():
        return None
    side = np.sign(b.x[begin - 1] - a.x[begin - 1])
    closing, parting = (side * (speeds[0] - speeds[1])) * [1, -1]
    if closing < limits.hit_speed:
        return None
    parting = max(parting, _first_step_apart(a, b, side, end, stride))
    if parting > limits.parting * closing + limits.speed_error:
        return Finding(
            "gains_energy", end + 1, other, float(parting / (limits.parting * closing)),
            f"two things meet at {closing:.1f} px/step and part at {parting:.1f} px/step",
        )  # fmt: skip
    return _unmoved(observation, one, other, begin, speeds, limits)


def _first_step_apart(a: Motion, b: Motion, side: float, end: int, stride: int) -> float:
    """Parting speed from the last frame of contact on, before friction slows anything."""
    after = end + stride
    if after >= len(a.x):
        return 0.0
    apart = side * ((b.x[after] - b.x[end]) - (a.x[after] - a.x[end]))
    return float(apart) if np.isfinite(apart) else 0.0


def _meeting(
    observation: Observation, one: int, other: int, limits: Thresholds
) -> tuple[int, int] | None:
    """First and last frame of the first sideways contact, which may fall between two frames."""
    a, b = observation.motions[one], observation.motions[other]
    level = (np.fmin(a.bottom, b.bottom) - np.fmax(a.top, b.top)) > 0.3 * np.fmin(
        a.bottom - a.top, b.bottom - b.top
    )
    touching = observation.touching[one, other] & level
    if touching.any():
        begin = int(np.argmax(touching))
        apart = np.flatnonzero(~touching[begin:])
        end = begin + int(apart[0]) - 1 if len(apart) else len(touching) - 1
        return (begin, end) if begin > 0 else None
    return _meeting_between(observation, one, other, level, limits)


def _meeting_between(
    observation: Observation, one: int, other: int, level: Flags, limits: Thresholds
) -> tuple[int, int] | None:
    """A contact between frames: closing, then parting, with little room at the turn."""
    a, b = observation.motions[one], observation.motions[other]
    gap = np.fmax(a.left - b.right, b.left - a.right) - 1
    change = np.diff(gap)
    turns = [
        frame
        for frame in range(1, len(change) - 1)
        if change[frame - 1] < -1
        and change[frame + 1] > -limits.start_rest
        and level[frame]
        and gap[frame : frame + 2].min() < -change[frame - 1]
    ]
    if not turns:
        return None
    # The step of the impact itself may look like parting: the next one then is the turn.
    turn = turns[0] + 1 if turns[0] + 1 in turns else turns[0]
    return turn + 1, turn


def _unmoved(
    observation: Observation,
    one: int,
    other: int,
    begin: int,
    speeds: np.ndarray,
    limits: Thresholds,
) -> Finding | None:
    """A thing at rest that is hit and stays where it is."""
    for hit, striker in ((0, 1), (1, 0)):
        thing = (one, other)[hit]
        own, hitter = observation.motions[thing], observation.motions[(one, other)[striker]]
        later = own.x[begin - 1 :]
        moved = np.nanmax(np.abs(later - own.x[begin - 1]))
        changed = abs(speeds[striker, 1] - speeds[striker, 0]) > 0.3 * abs(speeds[striker, 0])
        heavy = own.size > limits.heavy * hitter.size
        if moved < limits.still and changed and not heavy and not own.edge.any():
            return Finding(
                "no_reaction", begin, thing, 2.0,
                f"it is hit at {abs(speeds[striker, 0]):.1f} px/step and moves {moved:.1f} px",
            )  # fmt: skip
    return None


def _starts_alone(
    observation: Observation, thing: int, things: list[int], limits: Thresholds
) -> Finding | None:
    """A thing at rest on level ground that moves off with nothing near that moves."""
    own, stride = observation.motions[thing], observation.stride
    first = own.track.first
    away = np.hypot(own.x - own.x[first], own.y - own.y[first])
    moved = np.flatnonzero(away > limits.start_rest)
    if not len(moved) or moved[0] <= first + stride:
        return None
    start = int(moved[0]) - 1
    after = start + 1 + stride
    if after >= len(own.x) or own.held[first:after].any() or own.edge[first:after].any():
        return None
    across, along = own.x[after] - own.x[start + 1], own.y[after] - own.y[start]
    if not (abs(across) > limits.start_speed and abs(along) < limits.start_rest):
        return None
    if _is_pushed(observation, thing, things, slice(max(0, start - 1), start + 2), limits):
        return None
    return Finding(
        "moves_untouched", start + 1, thing, abs(across) / limits.start_speed,
        f"at rest before, it moves off at {abs(across):.1f} px/step with nothing near",
    )  # fmt: skip


def _into_solid(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    """A thing of which a good part lies within the floor or a ramp."""
    own, solid = observation.motions[thing], observation.surroundings.bare
    for frame in np.flatnonzero(own.seen):
        pixels = observation.blobs.labels[frame] == own.track.blob[frame] + 1
        inside = float((pixels & solid).sum() / pixels.sum())
        if inside > limits.sunk:
            return Finding(
                "passes_through", int(frame), thing, inside / limits.sunk,
                f"{100 * inside:.0f} % of it lies inside the floor",
            )  # fmt: skip
    return None


def _covers(
    observation: Observation, thing: int, things: list[int], limits: Thresholds
) -> Finding | None:
    """A thing in the place of another one, of which the rest is still where it was."""
    own, blobs = observation.motions[thing], observation.blobs
    colours = {observation.motions[i].track.colour for i in things} - {own.track.colour}
    for colour in sorted(colours):
        mask = np.append([False], blobs.colour == colour)[blobs.labels]
        place = mask[0] & mask[1]
        if place.sum() < limits.thing_area:
            continue
        for frame in np.flatnonzero(own.seen[2:]) + 2:
            pixels = blobs.labels[frame] == own.track.blob[frame] + 1
            share = float((pixels & place).sum() / pixels.sum())
            rest = place & ~pixels
            stays = rest.sum() > 0.3 * place.sum() and mask[frame][rest].mean() > 0.85
            if share > limits.overlap and stays:
                return Finding(
                    "passes_through", int(frame), thing, share / limits.overlap,
                    f"{100 * share:.0f} % of it lies where another thing still is",
                )  # fmt: skip
    return None


def _takes_off(
    observation: Observation,
    thing: int,
    things: list[int],
    pools: list[int],
    limits: Thresholds,
) -> Finding | None:
    """A thing that rests on something and rises faster than it came down, pushed by nothing."""
    own, stride = observation.motions[thing], observation.stride
    if own.held.any():
        return None
    rise = own.y[:-stride] - own.y[stride:]
    for frame in range(stride, len(own.y) - 2 * stride):
        window = slice(max(0, frame - 2 * stride), frame + stride + 1)
        incoming = -np.nanmin(rise[max(0, frame - 3 * stride) : frame + 1], initial=0)
        leaves = own.solid_gap[frame] <= 1 and own.solid_gap[frame + 2 * stride] > limits.flight_gap
        if not leaves or rise[frame + stride] < limits.take_off + 1.2 * incoming:
            continue
        if any(observation.touching[thing, pool].any() for pool in pools):
            continue
        if not _is_pushed(observation, thing, things, window, limits):
            return Finding(
                "falls_upward", frame + stride, thing,
                float(rise[frame + stride] / limits.take_off),
                f"from rest on the ground it rises at {rise[frame + stride]:.1f} px/step",
            )  # fmt: skip
    return None


def _is_pushed(
    observation: Observation, thing: int, things: list[int], window: slice, limits: Thresholds
) -> bool:
    """Whether a moving thing is or may have been in touch within a window of frames."""
    own = observation.motions[thing]
    for index in things:
        other = observation.motions[index]
        step = np.nanmax(np.hypot(np.diff(other.x[window]), np.diff(other.y[window])), initial=0)
        gap = np.nan_to_num(box_gap(own, other)[window], nan=np.inf).min()
        if index != thing and step > limits.pushing_step and gap < limits.touch + 1.2 * step:
            return True
    return False
