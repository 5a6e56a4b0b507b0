"""Planks, shelves and beams that never move: hit ones should have, and nothing passes them."""

from __future__ import annotations

import numpy as np

from ..laws import Finding
from ..thresholds import Thresholds
from .motion import Observation


def check_structures(
    observation: Observation, things: list[int], limits: Thresholds
) -> list[Finding]:
    """Things that fall through a still structure, or land on a plank that does not tip."""
    findings: list[Finding] = []
    if not observation.surroundings.fixture.any():
        return findings
    for thing in things:
        found = _falls_through(observation, thing) or _lands_on_plank(observation, thing, limits)
        if found:
            findings.append(found)
    return findings


def _middle(observation: Observation, thing: int, frame: int) -> slice:
    """Columns of the middle half of a thing."""
    own = observation.motions[thing]
    left, right = own.left[frame], own.right[frame]
    quarter = (right - left + 1) / 4
    return slice(int(left + quarter), int(np.ceil(right - quarter)) + 1)


def _falls_through(observation: Observation, thing: int) -> Finding | None:
    """A structure that was below a thing and later is above it in the same columns."""
    own, fixture = observation.motions[thing], observation.surroundings.fixture
    rows = np.arange(fixture.shape[0])[:, None]
    below = np.zeros_like(fixture)
    for frame in np.flatnonzero(own.seen):
        columns = _middle(observation, thing, int(frame))
        above_now = fixture[:, columns] & (rows < own.top[frame])
        if (above_now & below[:, columns]).any(axis=0).mean() > 0.5:
            return Finding(
                "passes_through", int(frame), thing, 2.0,
                "a still structure that was below it is above it now",
            )  # fmt: skip
        below[:, columns] |= fixture[:, columns] & (rows > own.bottom[frame])
    return None


def _lands_on_plank(observation: Observation, thing: int, limits: Thresholds) -> Finding | None:
    """A fall that ends on a thin tilted structure with air below, which stays where it is."""
    own, stride = observation.motions[thing], observation.stride
    fixture, solid = observation.surroundings.fixture, observation.surroundings.solid
    drop = own.y[stride:] - own.y[:-stride]
    for frame in np.flatnonzero(own.seen)[2 * stride :]:
        fast = np.nanmax(drop[max(0, frame - 3 * stride) : frame - stride + 1], initial=0)
        if fast < limits.stop_speed or drop[min(frame, len(drop) - 1)] > 0.5 * fast:
            continue
        columns = _middle(observation, thing, int(frame))
        under = slice(int(own.bottom[frame]) - 2, int(own.bottom[frame]) + 6)
        plank = fixture[under, columns]
        if not plank.any(axis=0).all():
            continue
        top = plank.argmax(axis=0)
        thick = fixture[int(own.bottom[frame]) - 2 :, columns].sum(axis=0)
        air = ~(solid | fixture)[int(own.bottom[frame]) :, columns]
        if np.ptp(top) >= 1 and thick.max() <= 6 and air.sum(axis=0).min() >= 3:
            return Finding(
                "no_reaction", int(frame), thing, 2.0,
                f"it lands at {fast:.1f} px/step on a tilted plank, which does not tip",
            )  # fmt: skip
    return None
