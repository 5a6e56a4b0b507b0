"""From a scene to the motion of everything in it, by pymunk with small fixed steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.world.fluids import PourTrack, pour_track
from phybench.tabletop.world.interventions import intervene
from phybench.tabletop.world.scene import DURATION, STEP, Pour, Scene, Thing
from phybench.tabletop.world.world import World, apply_natural_forces, build_world

if TYPE_CHECKING:
    import pymunk
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ThingTrack:
    """The motion of one thing; all arrays have one row per frame.

    Args:
        thing: What moves.
        x: Centre of mass, units.
        y: Centre of mass, units.
        angle: Radians.
        vx: Units/s.
        vy: Units/s.
        spin: Radians/s.
        scale: Linear size relative to the start.
        visible: Whether it is there.
        recoloured: Whether it has taken the violation's second colour.
    """

    thing: Thing
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    angle: NDArray[np.float64]
    vx: NDArray[np.float64]
    vy: NDArray[np.float64]
    spin: NDArray[np.float64]
    scale: NDArray[np.float64]
    visible: NDArray[np.bool_]
    recoloured: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What happens in a scene, sampled at the frames' times.

    Args:
        scene: Where it started.
        times: Seconds, shape (T,).
        tracks: One per thing; a duplicated thing's copy comes last.
        level: Height of the tank's surface, shape (T,), or ``None`` without a tank.
        pour: The poured liquid, or ``None``.
        onset: When the violation began, seconds; ``None`` if it did not within these times.
    """

    scene: Scene
    times: NDArray[np.float64]
    tracks: tuple[ThingTrack, ...]
    level: NDArray[np.float64] | None
    pour: PourTrack | None
    onset: float | None

    def track(self, name: str) -> ThingTrack:
        """The track of the thing of that name.

        Raises:
            KeyError: If there is none.
        """
        for track in self.tracks:
            if track.thing.name == name:
                return track
        raise KeyError(name)


def clip_times(frames: int | None = None, fps: float = 8.0) -> NDArray[np.float64]:
    """Times of a clip's frames in seconds; as many as fill the native duration if not given."""
    count = round(DURATION * fps) + 1 if frames is None else frames
    return np.arange(count) / fps


def simulate(
    scene: Scene, times: Sequence[float] | NDArray[np.float64] | None = None
) -> Trajectory:
    """Run a scene and sample it.

    Args:
        scene: What to run.
        times: Ascending times of the frames in seconds, rounded to whole simulation steps;
            the native clip's if not given. They do not change the motion.

    Returns:
        The trajectory; equal arguments give equal numbers.
    """
    when = clip_times() if times is None else np.asarray(times, dtype=np.float64)
    if scene.pour:
        return _pouring(scene, scene.pour, when)
    world = build_world(scene)
    rows: list[dict[str, tuple[float, ...]]] = []
    levels: list[float] = []
    steps = np.rint(when / STEP).astype(int)
    step = 0
    for wanted in steps:
        while step < wanted:
            world.time = step * STEP
            apply_natural_forces(world)
            intervene(world)
            world.space.step(STEP)
            step += 1
        rows.append(_snapshot(world))
        levels.append(world.level)
    return Trajectory(
        scene=scene,
        times=when,
        tracks=_tracks(world, rows),
        level=np.array(levels) if scene.tank else None,
        pour=None,
        onset=world.onset,
    )


def _pouring(scene: Scene, pour: Pour, when: NDArray[np.float64]) -> Trajectory:
    track, onset = pour_track(pour, when, scene.violation)
    begun = onset is not None and onset <= when[-1]
    return Trajectory(scene, when, (), None, track, onset if begun else None)


def _snapshot(world: World) -> dict[str, tuple[float, ...]]:
    return {
        name: (
            *body.position,
            _angle(world, name, body),
            *body.velocity,
            body.angular_velocity,
            world.scale.get(name, 1.0),
            name not in world.gone,
            name in world.recoloured,
        )
        for name, body in world.bodies.items()
    }


def _angle(world: World, name: str, body: pymunk.Body) -> float:
    """A thing on a rod turns with the rod."""
    for link in world.scene.links:
        if link.kind == "rod" and link.thing == name:
            return math.atan2(body.position.x - link.x, link.y - body.position.y)
    return float(body.angle)


def _tracks(world: World, rows: list[dict[str, tuple[float, ...]]]) -> tuple[ThingTrack, ...]:
    return tuple(_track(thing, rows) for thing in world.things)


def _track(thing: Thing, rows: list[dict[str, tuple[float, ...]]]) -> ThingTrack:
    # Before a copy appears it has no body: it is invisible where it will appear.
    absent = (thing.x, thing.y, thing.angle, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    table = np.array([row.get(thing.name, absent) for row in rows], dtype=np.float64)
    numbers, flags = table[:, :7].T, table[:, 7:].T.astype(bool)
    return ThingTrack(thing, *numbers, *flags)
