"""From frames to a verdict on the laws: what can be judged, and what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .laws import Finding
from .motion.contact import survey
from .motion.crowd import check_crowds
from .motion.energy import check_energy
from .motion.flight import check_flights, find_flights, measure_gravity
from .motion.impacts import check_impacts
from .motion.kinds import Kinds, sort_things
from .motion.liquid import check_liquids
from .motion.motion import Observation, observe
from .motion.persistence import check_persistence
from .motion.stops import check_stops
from .motion.structure import check_structures
from .seeing.backdrop import (
    Backdrop,
    Floats,
    air_colour,
    find_backdrop,
    shrink,
    strongest,
)
from .seeing.blobs import coverage, find_blobs
from .seeing.parts import tidy
from .seeing.segment import colour_labels, foreground
from .seeing.track import find_tracks
from .thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was measured in a clip.

    Args:
        reason: Why the clip cannot be judged; empty if it can.
        findings: Measured violations, the strongest first.
        observation: The things and their motion; ``None`` if it was not measured.
        kinds: What sort of things they are; likewise.
        gravity: Downward acceleration in px/stride^2 of the things that fall, if any.
        noise: Standard deviation of pixel noise, 0..255.
    """

    reason: str
    findings: tuple[Finding, ...] = ()
    observation: Observation | None = None
    kinds: Kinds | None = None
    gravity: float | None = None
    noise: float = 0.0


def assess(frames: NDArray[np.uint8], fps: float, limits: Thresholds) -> Assessment:
    """Measure a clip and check it against the laws.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        fps: Frames per second.
        limits: Thresholds.
    """
    reason = _too_little(frames, fps, limits)
    if reason:
        return Assessment(reason)
    small = shrink(frames, limits.shortest_side)
    reason = _restless(small, limits)
    if reason:
        return Assessment(reason)
    backdrop = find_backdrop(small, limits)
    observation, reason = _measure(small, backdrop, fps, limits)
    if reason or observation is None:
        return Assessment(reason, noise=backdrop.noise)
    kinds = sort_things(observation, limits)
    reason = _unclear(observation, kinds, limits)
    if reason:
        return Assessment(reason, (), observation, kinds, None, backdrop.noise)
    findings, gravity = check_laws(observation, kinds, limits)
    return Assessment("", findings, observation, kinds, gravity, backdrop.noise)


def check_laws(
    observation: Observation, kinds: Kinds, limits: Thresholds
) -> tuple[tuple[Finding, ...], float | None]:
    """Every law on every thing, and the gravity that the clip shows."""
    members = [i for i, m in enumerate(observation.motions) if m.track.colour in kinds.crowds]
    flights = [
        flight
        for flight in find_flights(observation, limits)
        if flight.thing in kinds.solids or flight.thing in members
    ]
    gravity = measure_gravity(observation, flights, limits)
    findings = [
        *check_flights(observation, flights, gravity, limits),
        *check_persistence(observation, kinds.solids, limits),
        *check_energy(observation, kinds, gravity, limits),
        *check_impacts(observation, kinds.solids, kinds.pools, limits),
        *check_stops(observation, kinds.solids, kinds.pools, limits),
        *check_structures(observation, kinds.solids, limits),
        *check_liquids(observation, kinds, gravity, limits),
        *check_crowds(observation, kinds, limits),
    ]
    return tuple(sorted(findings, key=lambda f: (-f.magnitude, f.frame, f.id))), gravity


def _too_little(frames: NDArray[np.uint8], fps: float, limits: Thresholds) -> str:
    count, height, width = frames.shape[:3]
    if count < limits.min_frames:
        return f"{count} frames are too few, {limits.min_frames} are needed"
    if min(height, width) < limits.min_side:
        return f"{width}x{height} pixels are too few, {limits.min_side} are needed each way"
    if (count - 1) / fps < limits.min_seconds:
        return f"{(count - 1) / fps:.2f} s are too short, {limits.min_seconds} s are needed"
    return ""


def _restless(frames: Floats, limits: Thresholds) -> str:
    """Cuts, moving cameras and noise: too many pixels change at once."""
    changed = (strongest(np.diff(frames, axis=0)) > limits.thing_step).mean(axis=(1, 2))
    if changed.max() > limits.cut_share:
        return f"the picture changes at once in {100 * changed.max():.0f} % of its pixels"
    if np.median(changed) > limits.moving_share:
        return f"the background is not still: {100 * np.median(changed):.0f} % change per frame"
    return ""


def _measure(
    frames: Floats, backdrop: Backdrop, fps: float, limits: Thresholds
) -> tuple[Observation | None, str]:
    mask = foreground(frames, backdrop, limits)
    filled = float(mask.mean())
    if filled > limits.thing_share:
        return None, f"no still background: {100 * filled:.0f} % of the picture differs from it"
    labels, palette = colour_labels(frames, mask, backdrop, limits)
    share = coverage(frames, labels, palette, backdrop)
    blobs = find_blobs(labels, palette, share, limits)
    blobs = tidy(blobs, labels, air_colour(backdrop), limits)
    tracks = find_tracks(blobs, len(frames), limits)
    if not tracks:
        return None, "no thing can be seen"
    return observe(blobs, tracks, survey(blobs, backdrop, limits), fps, limits), ""


def _unclear(observation: Observation, kinds: Kinds, limits: Thresholds) -> str:
    """Scenes of too many or too unsteady things."""
    if not (kinds.solids or kinds.crowds or kinds.liquids or kinds.pools):
        return "no thing can be followed"
    blobs, frames = observation.blobs, observation.blobs.labels.shape[0]
    pieces = len(observation.motions)
    if pieces > limits.max_pieces:
        return f"{pieces} pieces are too many, {limits.max_pieces} can be told apart"
    scraps = float((blobs.area < limits.scrap_area).sum() / frames)
    if scraps > limits.max_scraps:
        return f"{scraps:.1f} scraps per frame: the picture is too detailed"
    pools = np.isin(blobs.colour, [observation.motions[i].track.colour for i in kinds.pools])
    share = float(blobs.area[~pools].sum() / blobs.labels.size)
    if share > limits.things_share:
        return f"{100 * share:.0f} % of the picture are things: too many to tell from a backdrop"
    moving = [i for i in kinds.solids if observation.motions[i].travel > limits.still]
    if len(moving) > limits.max_things:
        return f"{len(moving)} moving things are too many, {limits.max_things} can be followed"
    return ""
