"""The ways in which a scene can break a law: one table, one row per family and violation.

Every row is an intervention on the simulation, chosen so that a careful observer sees it in the
pixels of a native clip: it begins early enough to be followed for several frames and is much
larger than a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.scene import COLOURS, Scene, Violation

VIOLATIONS: Mapping[str, str] = {
    "levitates": "stays or rises in the air with nothing holding it",
    "falls_upward": "accelerates upwards as if gravity were reversed",
    "gains_energy": "bounces, swings or moves with more energy than it had",
    "vanishes": "disappears in the middle of the clip",
    "duplicates": "a copy of it appears out of nothing",
    "teleports": "is somewhere else from one frame to the next",
    "passes_through": "moves through something solid",
    "no_reaction": "is hit and does not react",
    "moves_untouched": "starts to move before anything touches it",
    "freezes": "stops dead in the middle of its motion without a cause",
    "morphs": "changes its size or its colour",
    "liquid_disappears": "liquid goes missing: the level does not fit what was poured",
    "liquid_grows": "there is more liquid after pouring than before",
}
"""What each violation looks like."""

LAWS: Mapping[str, str] = {
    "gravity": "Gravity",
    "friction": "Friction",
    "elasticity": "Elasticity",
    "mass": "Conservation of Mass",
    "momentum": "Conservation of Momentum",
    "energy": "Conservation of Energy",
    "buoyancy": "Buoyancy",
    "inertia": "Newton's First Law of Motion",
    "force": "Newton's Second Law of Motion",
    "contact": "Newton's Third Law of Motion",
}
"""The laws in VideoPhy-2's words; solid contact is annotated there under Newton's third law."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One violation in one family.

    Args:
        family: Where it applies.
        violation: A key of :data:`VIOLATIONS`.
        law: A key of :data:`LAWS`.
        target: Name of the thing that breaks the law, or ``liquid``.
        onset: Range of its earliest beginning in seconds.
        how: Ranges of the intervention's numbers.
    """

    family: str
    violation: str
    law: str
    target: str
    onset: tuple[float, float]
    how: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def _hover(rise: float = 0.0, keep: float = 0.0) -> dict[str, tuple[float, float]]:
    return {"rise": (rise, rise * 1.15), "keep": (keep, keep)}


def _jump(dx: float, dy: float) -> dict[str, tuple[float, float]]:
    return {"dx": (dx, dx * 1.2), "dy": (dy, dy)}


_COPY_SIDE = _jump(13.0, 6.0)
_LIFT = {"lift": (0.8, 1.2)}
_GROWTH = {"grow": (1.6, 1.75)}
_RECOLOUR = {"grow": (1.0, 1.0)}

BREACHES: tuple[Breach, ...] = (
    Breach("drop", "levitates", "gravity", "subject", (0.30, 0.42), _hover()),
    Breach("drop", "falls_upward", "gravity", "subject", (0.28, 0.36), _LIFT),
    Breach("drop", "gains_energy", "elasticity", "subject", (0.0, 0.0), {"bounce": (1.22, 1.27)}),
    Breach("drop", "vanishes", "mass", "subject", (0.40, 1.10)),
    Breach("drop", "duplicates", "mass", "subject", (0.30, 0.60), _COPY_SIDE),
    Breach("drop", "teleports", "inertia", "subject", (0.30, 0.55), _jump(16.0, 6.0)),
    Breach("drop", "passes_through", "contact", "subject", (0.0, 0.0)),
    Breach("drop", "morphs", "mass", "subject", (0.40, 1.00), _GROWTH),
    Breach("throw", "levitates", "gravity", "subject", (0.40, 0.50), _hover(keep=1.0)),
    Breach("throw", "falls_upward", "gravity", "subject", (0.50, 0.65), _LIFT),
    Breach("throw", "gains_energy", "elasticity", "subject", (0.0, 0.0), {"bounce": (1.22, 1.3)}),
    Breach("throw", "vanishes", "mass", "subject", (0.40, 1.10)),
    Breach("throw", "duplicates", "mass", "subject", (0.40, 0.80), _COPY_SIDE),
    Breach("throw", "teleports", "inertia", "subject", (0.40, 0.80), _jump(16.0, 3.0)),
    Breach("throw", "passes_through", "contact", "subject", (0.0, 0.0)),
    Breach("throw", "freezes", "inertia", "subject", (0.40, 0.80)),
    Breach("throw", "morphs", "mass", "subject", (0.40, 1.00), _GROWTH),
    Breach("ramp", "levitates", "gravity", "subject", (0.70, 0.90), _hover(rise=15.0)),
    Breach("ramp", "falls_upward", "gravity", "subject", (0.75, 0.90), {"uphill": (130.0, 145.0)}),
    Breach("ramp", "vanishes", "mass", "subject", (0.60, 1.20)),
    Breach("ramp", "duplicates", "mass", "subject", (0.50, 0.90), _jump(14.0, 14.0)),
    Breach("ramp", "teleports", "inertia", "subject", (0.70, 1.00), _jump(14.0, 16.0)),
    Breach("ramp", "passes_through", "contact", "subject", (0.30, 0.60)),
    Breach("ramp", "freezes", "inertia", "subject", (0.90, 1.15)),
    Breach("ramp", "morphs", "mass", "subject", (0.60, 1.10), _RECOLOUR),
    Breach("slide", "levitates", "gravity", "subject", (0.30, 0.60), _hover(rise=15.0)),
    Breach("slide", "falls_upward", "gravity", "subject", (0.30, 0.60), _LIFT),
    Breach("slide", "gains_energy", "friction", "subject", (0.40, 0.60), {"push": (70.0, 90.0)}),
    Breach("slide", "vanishes", "mass", "subject", (0.40, 0.90)),
    Breach("slide", "duplicates", "mass", "subject", (0.30, 0.70), _jump(10.0, 16.0)),
    Breach("slide", "teleports", "inertia", "subject", (0.30, 0.60), _jump(9.0, 17.0)),
    Breach("slide", "freezes", "friction", "subject", (0.30, 0.45)),
    Breach("slide", "morphs", "mass", "subject", (0.40, 1.00), _RECOLOUR),
    Breach("collide", "levitates", "gravity", "target", (0.80, 1.00), _hover(rise=16.0)),
    Breach("collide", "gains_energy", "energy", "target", (0.0, 0.0), {"kick": (1.95, 2.15)}),
    Breach("collide", "vanishes", "mass", "target", (0.50, 1.10)),
    Breach("collide", "duplicates", "mass", "target", (0.40, 0.90), _jump(-14.0, 15.0)),
    Breach("collide", "teleports", "inertia", "striker", (0.22, 0.34), _jump(-2.0, 20.0)),
    Breach("collide", "passes_through", "contact", "striker", (0.0, 0.0)),
    Breach("collide", "no_reaction", "momentum", "target", (0.0, 0.0)),
    Breach("collide", "moves_untouched", "inertia", "target", (0.12, 0.20), {"speed": (24, 28)}),
    Breach("collide", "freezes", "inertia", "striker", (0.26, 0.36)),
    Breach("collide", "morphs", "mass", "target", (0.50, 1.10), _RECOLOUR),
    Breach("pendulum", "falls_upward", "gravity", "subject", (0.25, 0.35), {"lift": (1.4, 1.8)}),
    Breach("pendulum", "gains_energy", "energy", "subject", (0.60, 0.70), {"drive": (32.0, 40.0)}),
    Breach("pendulum", "vanishes", "mass", "subject", (0.40, 1.20)),
    Breach("pendulum", "teleports", "inertia", "subject", (0.30, 0.45), {"mirror": (1.0, 1.0)}),
    Breach("pendulum", "freezes", "inertia", "subject", (0.40, 0.55)),
    Breach("pendulum", "morphs", "mass", "subject", (0.40, 1.10), _GROWTH),
    Breach("stack", "levitates", "gravity", "subject", (0.16, 0.22), _hover()),
    Breach("stack", "falls_upward", "gravity", "subject", (0.28, 0.34), _LIFT),
    Breach("stack", "gains_energy", "elasticity", "subject", (0.0, 0.0), {"bounce": (1.36, 1.44)}),
    Breach("stack", "vanishes", "mass", "subject", (0.30, 1.10)),
    Breach("stack", "duplicates", "mass", "subject", (0.30, 0.80), _jump(16.0, 0.0)),
    Breach("stack", "teleports", "inertia", "subject", (0.22, 0.38), _jump(19.0, 0.0)),
    Breach("stack", "passes_through", "contact", "subject", (0.0, 0.0)),
    Breach("stack", "morphs", "mass", "subject", (0.40, 1.10), _RECOLOUR),
    Breach("dominoes", "levitates", "gravity", "domino 5", (0.30, 0.60), _hover(rise=16.0)),
    Breach("dominoes", "vanishes", "mass", "domino 4", (0.30, 0.70)),
    Breach("dominoes", "duplicates", "mass", "striker", (0.40, 1.00), _jump(6.0, 26.0)),
    Breach("dominoes", "passes_through", "contact", "striker", (0.0, 0.0)),
    Breach("dominoes", "no_reaction", "momentum", "domino 3", (0.0, 0.0)),
    Breach(
        "dominoes", "moves_untouched", "inertia", "domino 5", (0.12, 0.20), {"spin": (4.0, 4.6)}
    ),
    Breach("dominoes", "freezes", "inertia", "every domino", (0.55, 0.60)),
    Breach("dominoes", "morphs", "mass", "domino 4", (0.30, 0.90), _RECOLOUR),
    Breach("pour", "falls_upward", "gravity", "liquid", (0.0, 0.0)),
    Breach("pour", "passes_through", "contact", "liquid", (0.0, 0.0)),
    Breach("pour", "freezes", "inertia", "liquid", (0.0, 0.0), {"hang": (0.45, 0.6)}),
    Breach("pour", "morphs", "mass", "liquid", (0.70, 1.20), _RECOLOUR),
    Breach("pour", "liquid_disappears", "mass", "liquid", (0.0, 0.0), {"keep": (0.0, 0.1)}),
    Breach("pour", "liquid_grows", "mass", "liquid", (0.0, 0.0), {"keep": (2.1, 2.3)}),
    Breach("buoyancy", "levitates", "buoyancy", "subject", (0.60, 0.80), _hover(rise=22.0)),
    Breach("buoyancy", "falls_upward", "gravity", "subject", (0.65, 0.80), _LIFT),
    Breach("buoyancy", "vanishes", "mass", "subject", (0.40, 1.20)),
    Breach("buoyancy", "duplicates", "mass", "subject", (0.30, 0.80), _jump(12.0, 6.0)),
    Breach("buoyancy", "teleports", "inertia", "subject", (0.25, 0.35), _jump(16.0, 0.0)),
    Breach("buoyancy", "passes_through", "contact", "subject", (0.0, 0.0)),
    Breach("buoyancy", "freezes", "buoyancy", "subject", (0.0, 0.0), {"depth": (3.5, 4.5)}),
    Breach("buoyancy", "morphs", "mass", "subject", (0.40, 1.20), _RECOLOUR),
    Breach("buoyancy", "liquid_disappears", "mass", "liquid", (0.60, 0.90), {"keep": (0.3, 0.4)}),
    Breach("spring", "gains_energy", "energy", "subject", (0.0, 0.0), {"growth": (0.45, 0.55)}),
    Breach("spring", "vanishes", "mass", "subject", (0.40, 1.20)),
    Breach("spring", "teleports", "inertia", "subject", (0.40, 0.70), _jump(15.0, 0.0)),
    Breach("spring", "freezes", "inertia", "subject", (0.50, 0.60), {"off": (3.0, 3.5)}),
    Breach("spring", "morphs", "mass", "subject", (0.40, 1.10), _GROWTH),
    Breach("lever", "levitates", "gravity", "load", (0.60, 0.80), _hover(rise=22.0)),
    Breach("lever", "falls_upward", "gravity", "striker", (0.28, 0.34), _LIFT),
    Breach("lever", "vanishes", "mass", "striker", (0.30, 1.10)),
    Breach("lever", "duplicates", "mass", "striker", (0.30, 0.90), _jump(-16.0, 14.0)),
    Breach("lever", "teleports", "inertia", "striker", (0.25, 0.40), _jump(-18.0, 8.0)),
    Breach("lever", "passes_through", "contact", "striker", (0.0, 0.0)),
    Breach("lever", "no_reaction", "momentum", "plank", (0.0, 0.0)),
    Breach("lever", "morphs", "mass", "striker", (0.40, 1.10), _RECOLOUR),
)
"""Every violation that can happen in every family."""


def breaches(family: str) -> tuple[Breach, ...]:
    """The rows of one family, in table order."""
    return tuple(row for row in BREACHES if row.family == family)


def choose_violation(scene: Scene, violation: str, chance: Chance) -> Violation:
    """Draw when and how the scene breaks the law.

    Raises:
        ValueError: If the violation does not apply to the scene's family.
    """
    rows = {row.violation: row for row in breaches(scene.family)}
    if violation not in rows:
        raise ValueError(
            f"Expected a violation that applies to {scene.family!r} "
            f"({', '.join(rows)}), but got {violation!r}."
        )
    row = rows[violation]
    how = {key: chance.uniform(f"how/{key}", *limits) for key, limits in row.how.items()}
    return Violation(
        id=violation,
        law=LAWS[row.law],
        target=row.target,
        onset=chance.uniform("how/onset", *row.onset),
        how=how,
        second_colour=_second_colour(scene, row, chance) if row.how is _RECOLOUR else "",
    )


def _second_colour(scene: Scene, row: Breach, chance: Chance) -> str:
    """A colour far from every colour in the scene (three steps or more on the colour wheel)."""
    wheel = list(COLOURS)
    if row.target == "liquid" and scene.pour:
        used = {scene.pour.colour}
    else:
        used = {thing.look.colour for thing in scene.things if thing.name != "plank"}
    own = scene.pour.colour if scene.pour else scene.thing(row.target).look.colour
    position = wheel.index(own)
    far = [wheel[(position + step) % len(wheel)] for step in (3, 4, 5)]
    return chance.choice("how/colour", [colour for colour in far if colour not in used] or far)
