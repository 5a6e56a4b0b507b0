"""From a family's name to a labelled clip in one call, for judges' authors and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phybench.tabletop.drawing.render import render
from phybench.tabletop.world.families import FAMILIES, sample_scene
from phybench.tabletop.world.scene import Scene
from phybench.tabletop.world.simulate import Trajectory, clip_times, simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_SEEN = 2
"""Frames that must come after a violation's onset for it to count as seen."""


def draw(
    family: str,
    seed: int,
    violation: str | None = None,
    size: int = 64,
    frames: int | None = None,
    fps: float = 8.0,
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """A random clip of a family, and the truth about it.

    Args:
        family: A key of :data:`phybench.tabletop.world.families.FAMILIES`.
        seed: Any integer.
        violation: The law to break; ``None`` for a lawful clip.
        size: Width and height in pixels.
        frames: As many as fill the native duration if not given.
        fps: Frames per second.

    Returns:
        Frames of shape (T, size, size, 3), uint8 RGB, and the ground truth (JSON values only).

    Raises:
        KeyError: If the family is unknown.
        ValueError: If the violation does not apply to the family.
    """
    scene = sample_scene(family, seed, violation)
    trajectory = simulate(scene, clip_times(frames, fps))
    return render(trajectory, size), truth(trajectory)


def truth(trajectory: Trajectory) -> dict[str, Any]:
    """What can be seen to happen in a trajectory, as JSON values.

    A violation that begins too late for these frames to show it counts as not there.
    """
    scene, shown = trajectory.scene, _is_shown(trajectory)
    violation = scene.violation if shown else None
    return {
        "family": scene.family,
        "outcome": scene.outcome,
        "objects": drawn_objects(scene),
        "lawful": violation is None,
        "violation": violation.id if violation else None,
        "law": violation.law if violation else None,
        "target": violation.target if violation else None,
        "onset_s": trajectory.onset if shown else None,
        "end_s": float(trajectory.times[-1]),
    }


def _is_shown(trajectory: Trajectory) -> bool:
    after = trajectory.times > (np.inf if trajectory.onset is None else trajectory.onset)
    return int(after.sum()) >= _MIN_SEEN


def drawn_objects(scene: Scene) -> list[dict[str, str]]:
    """Role, shape, colour and size of everything a text can ask for, in the family's order.

    A tower and a row of dominoes count once.
    """
    objects: dict[str, dict[str, str]] = {}
    for thing in scene.things:
        role = _ROLES.get(thing.name.split()[0], thing.name)
        if role != "plank":
            look = thing.look
            objects.setdefault(
                role,
                {"role": role, "shape": look.shape, "colour": look.colour, "size": look.size},
            )
    if scene.pour:
        objects["liquid"] = {
            "role": "liquid",
            "shape": "liquid",
            "colour": scene.pour.colour,
            "size": "large",
        }
    order = [role.name for role in FAMILIES[scene.family].roles] if scene.family in FAMILIES else []
    return sorted(objects.values(), key=lambda thing: (*order, thing["role"]).index(thing["role"]))


_ROLES = {"tower": "tower", "domino": "row"}
"""Roles whose things are numbered."""
