"""The scene families: what each needs, which laws it shows, and how to build one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from phybench.tabletop.world import layouts
from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.layouts import Looks
from phybench.tabletop.world.scene import (
    COLOURS,
    EXTENT,
    PALETTES,
    SINKING_DENSITY,
    SIZES,
    Look,
    Scene,
)
from phybench.tabletop.world.violations import choose_violation

OUTCOMES = ("floats", "sinks")
"""What can lawfully happen to a thing in a tank."""


@dataclass(frozen=True, slots=True)
class Role:
    """One thing that a family needs.

    Args:
        name: ``subject``, ``striker``, ``target``, ...
        shapes: Shapes it can have, the usual one first.
        sizes: Sizes it can have.
    """

    name: str
    shapes: tuple[str, ...]
    sizes: tuple[str, ...] = SIZES


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of event.

    Args:
        name: One word.
        title: What happens, lawfully.
        laws: Keys of :data:`phybench.tabletop.world.violations.LAWS` that it shows.
        roles: The things it needs.
        build: Lays the scene out.
        mirrors: Whether it may run from right to left.
    """

    name: str
    title: str
    laws: tuple[str, ...]
    roles: tuple[Role, ...]
    build: Callable[[Looks, Chance], Scene]
    mirrors: bool = True


_ROLLERS = ("ball", "cube")
_SUBJECT = Role("subject", _ROLLERS)

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "drop",
            "a thing falls on the table and bounces lower each time",
            ("gravity", "elasticity", "contact", "mass", "inertia"),
            (Role("subject", ("ball", "cube", "triangle")),),
            layouts.drop,
            mirrors=False,
        ),
        Family(
            "throw",
            "a thing flies in an arc, lands and bounces on",
            ("gravity", "elasticity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            layouts.throw,
        ),
        Family(
            "ramp",
            "a thing moves down a ramp, faster and faster, and on along the table",
            ("gravity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            layouts.ramp,
        ),
        Family(
            "slide",
            "a block slides along the table, slows down and stops",
            ("friction", "gravity", "mass", "inertia"),
            (Role("subject", ("cube", "bar", "triangle")),),
            layouts.slide,
        ),
        Family(
            "collide",
            "a ball rolls into a thing at rest, which moves off",
            ("momentum", "energy", "contact", "mass", "inertia", "gravity"),
            (Role("striker", ("ball",)), Role("target", _ROLLERS)),
            layouts.collide,
        ),
        Family(
            "pendulum",
            "a thing on a rod swings to the other side and back",
            ("gravity", "energy", "mass", "inertia"),
            (_SUBJECT,),
            layouts.pendulum,
            mirrors=False,
        ),
        Family(
            "stack",
            "a block drops on a tower of blocks and stays there",
            ("gravity", "contact", "elasticity", "mass", "inertia"),
            (Role("subject", ("cube", "triangle", "bar")), Role("tower", ("cube", "bar"))),
            layouts.stack,
        ),
        Family(
            "dominoes",
            "a ball knocks over the first of five dominoes, and they all fall",
            ("momentum", "contact", "gravity", "mass", "inertia"),
            (Role("striker", ("ball",), ("small",)), Role("row", ("bar",), ("large",))),
            layouts.dominoes,
        ),
        Family(
            "pour",
            "a cup tips and its liquid fills a glass",
            ("mass", "gravity", "contact", "inertia"),
            (Role("liquid", ("liquid",), ("large",)),),
            layouts.pour,
        ),
        Family(
            "buoyancy",
            "a thing drops into a tank of water and floats, or sinks to the bottom",
            ("buoyancy", "gravity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            layouts.buoyancy,
            mirrors=False,
        ),
        Family(
            "spring",
            "a weight on a spring moves up and down, less and less",
            ("energy", "mass", "inertia"),
            (_SUBJECT,),
            layouts.spring,
            mirrors=False,
        ),
        Family(
            "lever",
            "a weight drops on the raised end of a seesaw and lifts the other end",
            ("momentum", "contact", "gravity", "mass", "inertia"),
            (Role("striker", ("ball", "cube")), Role("load", ("cube", "bar"), ("small",))),
            layouts.lever,
        ),
    )
}
"""The families by name."""


def draw_looks(family: str, chance: Chance) -> dict[str, Look]:
    """Random looks for a family's roles, all of different colours and one common size."""
    size = chance.choice("size", SIZES)
    looks: dict[str, Look] = {}
    for role in FAMILIES[family].roles:
        used = {look.colour for look in looks.values()}
        colours = [colour for colour in COLOURS if colour not in used]
        looks[role.name] = Look(
            shape=chance.choice(f"{role.name}/shape", role.shapes),
            colour=chance.choice(f"{role.name}/colour", colours),
            size=size if size in role.sizes else role.sizes[0],
        )
    return looks


def build_scene(
    family: str, looks: Looks, seed: int, violation: str | None = None, outcome: str = ""
) -> Scene:
    """Lay out a scene whose things look as asked.

    Args:
        family: A key of :data:`FAMILIES`, or ``still`` for things that just lie there.
        looks: A look for every role of the family; any roles for ``still``.
        seed: What the geometry is drawn with.
        violation: The law to break, or ``None`` for a lawful scene. It changes nothing else.
        outcome: ``floats`` or ``sinks`` where the family has two lawful outcomes; empty to draw it.

    Raises:
        KeyError: If the family is unknown.
        ValueError: If the violation does not apply to the family.
    """
    chance = Chance(seed)
    if family == "still":
        scene, mirrors = layouts.still(looks, chance), False
    else:
        scene, mirrors = FAMILIES[family].build(looks, chance), FAMILIES[family].mirrors
    palette = chance.choice("palette", tuple(PALETTES))
    scene = replace(scene, seed=seed, palette=palette)
    if scene.tank:
        scene = _with_outcome(scene, outcome, chance)
    if violation is not None:
        scene = replace(scene, violation=choose_violation(scene, violation, chance))
    if mirrors and chance.uniform("mirror") < 0.5:
        scene = _mirror(scene)
    return scene


def sample_scene(family: str, seed: int, violation: str | None = None) -> Scene:
    """A random scene of a family; equal arguments give equal scenes.

    Raises:
        KeyError: If the family is unknown.
        ValueError: If the violation does not apply to the family.
    """
    return build_scene(family, draw_looks(family, Chance(seed)), seed, violation)


def _with_outcome(scene: Scene, outcome: str, chance: Chance) -> Scene:
    """A thing in a tank, light enough to float or heavy enough to sink."""
    outcome = outcome or chance.choice("outcome", OUTCOMES)
    density = chance.uniform("density", 0.42, 0.50) if outcome == "floats" else SINKING_DENSITY
    things = tuple(replace(thing, density=density) for thing in scene.things)
    return replace(scene, things=things, outcome=outcome)


def _mirror(scene: Scene) -> Scene:
    """The same scene seen from behind."""
    things = [
        replace(t, x=EXTENT - t.x, vx=-t.vx, angle=-t.angle, spin=-t.spin) for t in scene.things
    ]
    fixtures = [
        replace(f, corners=tuple((EXTENT - x, y) for x, y in reversed(f.corners)))
        for f in scene.fixtures
    ]
    links = [replace(link, x=EXTENT - link.x) for link in scene.links]
    violation = scene.violation
    if violation:
        how = {k: -v if k in ("dx", "speed", "spin") else v for k, v in violation.how.items()}
        violation = replace(violation, how=how)
    return replace(
        scene,
        things=tuple(things),
        fixtures=tuple(fixtures),
        links=tuple(links),
        pour=replace(scene.pour, mirrored=True) if scene.pour else None,
        violation=violation,
    )
