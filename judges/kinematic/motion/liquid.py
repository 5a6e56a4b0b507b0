"""Liquids: what is poured arrives, all of it, and water stays in its vessel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..laws import Finding
from ..seeing.blobs import LINE
from ..thresholds import Thresholds
from .flight import second_differences, weakest_gravity
from .kinds import Kinds
from .motion import Observation


def check_liquids(
    observation: Observation, kinds: Kinds, gravity: float | None, limits: Thresholds
) -> list[Finding]:
    """Amount, fall and colour of poured liquids, amount and lift of still water."""
    findings = []
    for colour in kinds.liquids:
        found = _amount(observation, colour, limits) or _hangs(observation, colour, limits)
        if found:
            findings.append(found)
    for pool in kinds.pools:
        for thing in kinds.solids:
            found = _leaps(observation, thing, pool, gravity, limits)
            if found:
                findings.append(found)
    for colour in sorted({observation.motions[i].track.colour for i in kinds.pools}):
        found = _level(observation, colour, limits)
        if found:
            findings.append(found)
    return findings


def areas(observation: Observation, colour: int) -> np.ndarray:
    """(T,) pixels of one colour."""
    blobs = observation.blobs
    own = blobs.colour == colour
    return np.bincount(blobs.frame[own], blobs.area[own], minlength=blobs.labels.shape[0])


def _amount(observation: Observation, colour: int, limits: Thresholds) -> Finding | None:
    """The liquid at the end against the liquid at the start."""
    area = areas(observation, colour)
    stride = observation.stride
    start = float(np.median(area[: stride + 1]))
    share = float(np.median(area[-stride - 1 :])) / start
    frame = len(area) - 1 - stride
    said = f"{100 * share:.0f} % of the liquid is there at the end"
    if share < limits.liquid_loss:
        if _replaced(observation, colour, area):
            return Finding("morphs", int(np.argmin(area > 0.5 * start)), -1, 2.0,
                           "the liquid takes another colour")  # fmt: skip
        name = "falls_upward" if _rises(observation, colour) else "liquid_disappears"
        return Finding(name, frame, -1, limits.liquid_loss / max(share, 0.1), said)
    if share > limits.liquid_gain:
        return Finding("liquid_grows", frame, -1, share / limits.liquid_gain, said)
    return None


def _replaced(observation: Observation, colour: int, area: np.ndarray) -> bool:
    """Whether another colour takes the liquid's place in one step."""
    loss = -np.diff(area)
    frame = int(loss.argmax())
    for other in range(len(observation.blobs.palette)):
        if other != colour:
            gain = np.diff(areas(observation, other))[frame]
            if gain > 0.5 * loss[frame] > 0.25 * area[0]:
                return True
    return False


def _rises(observation: Observation, colour: int) -> bool:
    """Whether the liquid reaches far above where it started."""
    blobs = observation.blobs
    own = blobs.colour == colour
    first = blobs.top[own & (blobs.frame == blobs.frame[own].min())].min()
    return bool(first - blobs.top[own].min() > 0.1 * observation.height)


def _hangs(observation: Observation, colour: int, limits: Thresholds) -> Finding | None:
    """A stream that ends in the air and does not fall on."""
    own = np.append([False], observation.blobs.colour == colour)
    mask: NDArray[np.bool_] = own[observation.blobs.labels]
    rows: NDArray[np.bool_] = mask.max(axis=2)
    lowest: NDArray[np.intp] = mask.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    span = max(2, round(limits.still_seconds * observation.fps))
    end = lowest[-span - 1 :]
    if np.ptp(end) > 1 or mask[-1].sum() == 0:
        return None
    bottom = int(lowest[-1])
    columns = mask[-1, bottom]
    below = slice(bottom + 1, bottom + 5)
    labels = observation.blobs.labels[-1]
    solid = (
        observation.surroundings.solid
        | observation.surroundings.fixture
        | np.append([False], observation.blobs.colour == LINE)[labels]
    )
    if bottom + 2 >= mask.shape[1] or solid[below][:, columns].any():
        return None
    return Finding(
        "freezes", len(mask) - 1 - span, -1, 2.0,
        f"the stream ends in the air at row {bottom} and stays there",
    )  # fmt: skip


def _level(observation: Observation, colour: int, limits: Thresholds) -> Finding | None:
    """Still water that becomes more or less than it was."""
    area = areas(observation, colour)
    start = float(np.median(area[: observation.stride + 1]))
    change = np.maximum(area / start, start / np.maximum(area, 1))
    lasting = change[-observation.stride - 1 :].min()
    if lasting <= limits.pool_change:
        return None
    name = "liquid_grows" if area[-1] > start else "liquid_disappears"
    return Finding(
        name, int(np.argmax(change > limits.pool_change)), -1,
        float(lasting / limits.pool_change),
        f"the water's area goes from {start:.0f} to {area[-1]:.0f} px^2",
    )  # fmt: skip


def _leaps(
    observation: Observation, thing: int, pool: int, gravity: float | None, limits: Thresholds
) -> Finding | None:
    """A thing that the water hardly touches and that still accelerates upward."""
    own, stride = observation.motions[thing], observation.stride
    pull = gravity if gravity is not None else weakest_gravity(observation, limits)
    surface = np.nanmedian(observation.motions[pool].top)
    wet = (own.bottom + 1 - surface) / (own.bottom - own.top + 1)
    inside = (own.x > np.nanmin(observation.motions[pool].left)) & ~own.edge
    inside &= own.x < np.nanmax(observation.motions[pool].right)
    bends = second_differences(own.y, stride)
    middle = slice(stride, len(own.y) - stride)
    dry = (wet[middle] < limits.afloat_share) & inside[middle] & ~own.edge[2 * stride :]
    dry &= own.solid_gap[middle] > limits.flight_gap
    limit = -limits.afloat_lift * pull - 0.3 * limits.curvature_error
    lifted = np.flatnonzero(dry & (bends < limit) & (wet[middle] > -1.5))
    if not len(lifted):
        return None
    worst = int(lifted[np.argmin(bends[lifted])])
    return Finding(
        "falls_upward", worst + stride, thing, float(bends[worst] / limit),
        f"above the water it accelerates upward by {-bends[worst]:.2f} px/step^2",
    )  # fmt: skip
