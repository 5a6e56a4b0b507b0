"""Persistence: things do not vanish, appear, jump, or change size or colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .motion import Motion, Observation, clearance, may_touch


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how large a thing should be in some frame."""

    x: float
    y: float
    half_width: float
    half_height: float


def check_persistence(
    observation: Observation, things: list[int], limits: Thresholds
) -> list[Finding]:
    """Vanishing, appearing, morphing and jumping of the given things."""
    ends = [found for thing in things if (found := _vanishes(observation, thing, limits))]
    begins = [found for thing in things if (found := _appears(observation, thing, limits))]
    findings = _recoloured(observation, ends, begins, limits)
    for thing in things:
        findings += _resized(observation, thing, limits)
        findings += _jumps(observation, thing, limits)
    return findings


def expected_place(own: Motion, frame: int, *, backward: bool = False) -> Place:
    """Where a thing is by its last (or, backward, first) speed in a frame without it."""
    seen = np.flatnonzero(own.seen)
    if backward:
        seen = seen[::-1]
    near, other = seen[-1], seen[max(-2, -len(seen))]
    speed_x = speed_y = 0.0
    if near != other:
        speed_x = (own.x[near] - own.x[other]) / (near - other)
        speed_y = (own.y[near] - own.y[other]) / (near - other)
    steps = frame - near
    return Place(
        float(own.x[near] + speed_x * steps),
        float(own.y[near] + speed_y * steps),
        float((own.right[near] - own.left[near] + 1) / 2),
        float((own.bottom[near] - own.top[near] + 1) / 2),
    )


def outside(place: Place, observation: Observation, margin: float) -> bool:
    """Whether a thing at this place reaches the frame's edge."""
    return bool(
        place.x - place.half_width < margin
        or place.y - place.half_height < margin
        or place.x + place.half_width > observation.width - 1 - margin
        or place.y + place.half_height > observation.height - 1 - margin
    )


def _vanishes(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    own, last = observation.motions[thing], observation.motions[thing].track.last
    away = (len(own.x) - 1 - last) / observation.fps
    if away <= limits.gone_seconds or own.edge[last]:
        return None
    place = expected_place(own, last + 1)
    if outside(place, observation, 1.0):
        return None
    if _merged(observation, own, last, last + 1, limits):
        return None
    return Finding(
        "vanishes", last + 1, thing, 2.0,
        f"a thing of {own.area[last]:.0f} px^2 at ({own.x[last]:.0f}, {own.y[last]:.0f}) is not "
        f"seen in the last {away:.2f} s, nor did it reach the edge",
    )  # fmt: skip


def _appears(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    own, first = observation.motions[thing], observation.motions[thing].track.first
    if first == 0 or own.edge[first]:
        return None
    place = expected_place(own, first - 1, backward=True)
    if outside(place, observation, 1.0) or _merged(observation, own, first, first - 1, limits):
        return None
    return Finding(
        "duplicates", first, thing, 2.0,
        f"a thing of {own.area[first]:.0f} px^2 appears at ({own.x[first]:.0f}, "
        f"{own.y[first]:.0f}) away from the edge and from things of its colour",
    )  # fmt: skip


def _merged(
    observation: Observation, own: Motion, there: int, missing: int, limits: Thresholds
) -> bool:
    """Whether the thing's colour lost too little area for the thing to have gone."""
    blobs = observation.blobs
    of_colour = blobs.colour == own.track.colour
    before = blobs.area[of_colour & (blobs.frame == there)].sum()
    after = blobs.area[of_colour & (blobs.frame == missing)].sum()
    return bool(before - after < limits.absorb * own.area[there])


def _recoloured(
    observation: Observation, ends: list[Finding], begins: list[Finding], limits: Thresholds
) -> list[Finding]:
    """Turn an end and a beginning at one place into one change of colour."""
    findings, used = [], set()
    for end in ends:
        own = observation.motions[end.thing]
        for index, begin in enumerate(begins):
            other = observation.motions[begin.thing]
            late = begin.frame - end.frame
            if index in used or not -1 <= late <= 2 * observation.stride:
                continue
            place = expected_place(own, begin.frame)
            gap = np.hypot(other.x[begin.frame] - place.x, other.y[begin.frame] - place.y)
            ratio = other.area[begin.frame] / own.area[own.track.last]
            if gap < 1.5 * own.size and 0.4 < ratio < 2.5:
                used.add(index)
                break
        else:
            findings.append(end)
            continue
        findings.append(
            Finding(
                "morphs",
                begin.frame,
                end.thing,
                2.0,
                "it ends where a thing of another colour begins",
            )
        )
    return findings + [begin for index, begin in enumerate(begins) if index not in used]


def _resized(observation: Observation, thing: int, limits: Thresholds) -> list[Finding]:
    """A lasting change of area, in frames where the whole thing is seen."""
    own = observation.motions[thing]
    whole = np.flatnonzero(own.seen & ~own.edge)
    if len(whole) < 2 * limits.thing_frames:
        return []
    area = own.area[whole]
    first = float(np.median(area[: limits.thing_frames]))
    kept = np.lib.stride_tricks.sliding_window_view(area, limits.thing_frames)
    ratio = np.median(kept, axis=1) / first
    change = np.maximum(ratio, 1 / ratio)
    worst = int(change.argmax())
    if change[worst] <= limits.area_change:
        return []
    begin = int(np.flatnonzero(change > limits.area_change)[0])
    return [
        Finding(
            "morphs",
            int(whole[begin]),
            thing,
            float(change[worst] / limits.area_change),
            f"its area goes from {first:.0f} to {ratio[worst] * first:.0f} px^2",
        )
    ]


def _jumps(observation: Observation, thing: int, limits: Thresholds) -> list[Finding]:
    """A single step far from its neighbours."""
    own = observation.motions[thing]
    steps = np.stack([np.diff(own.x), np.diff(own.y)])
    limit = max(limits.jump, limits.jump_sizes * own.size)
    around = (steps[:, 2:] + steps[:, :-2]) / 2
    off = np.hypot(*(steps[:, 1:-1] - around))
    cut = own.edge & (own.area < limits.whole_share * np.nanmedian(own.area))
    edge = cut[1:-2] | cut[2:-1]
    length = np.hypot(*steps)
    longest = np.fmax(length[2:], length[:-2])
    bounced = may_touch(own, clearance(observation, thing), limits)[1:-1] & (
        length[1:-1] < limits.bounce_room * longest + 2
    )
    off = np.where(edge | bounced, np.nan, off)
    if not (off > limit).any():
        return []
    frame = int(np.nanargmax(off))
    return [
        Finding(
            "teleports",
            frame + 2,
            thing,
            float(off[frame] / limit),
            f"it moves {np.hypot(*steps[:, frame + 1]):.1f} px in one frame, {off[frame]:.1f} px "
            "off the steps before and after",
        )
    ]
