"""The scene families: how each is laid out, with its geometry drawn by name from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from phybench.tabletop.chance import Chance
from phybench.tabletop.scene import (
    COLOURS,
    EXTENT,
    FLOOR,
    GRAVITY,
    PALETTES,
    SINKING_DENSITY,
    SIZES,
    Fixture,
    Link,
    Look,
    Pour,
    Scene,
    Tank,
    Thing,
)
from phybench.tabletop.violations import choose_violation

Looks = Mapping[str, Look]
OUTCOMES = ("floats", "sinks")
"""What can lawfully happen to a thing in a tank."""

_DIMENSIONS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "ball": ((7.5, 7.5), (11.5, 11.5)),
    "cube": ((7.0, 7.0), (10.5, 10.5)),
    "triangle": ((9.0, 8.0), (13.0, 11.5)),
    "bar": ((11.0, 5.0), (16.0, 6.5)),
}
"""Width and height in units, small and large."""
_RESTITUTION = {"ball": (0.60, 0.70), "cube": (0.42, 0.52), "triangle": (0.40, 0.48)}


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
        laws: Keys of :data:`phybench.tabletop.violations.LAWS` that it shows.
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


def _thing(name: str, look: Look, x: float, y: float, **start: float) -> Thing:
    width, height = _DIMENSIONS[look.shape][look.size == "large"]
    return Thing(name, look, width, height, x, y, **start)


def rest_height(thing: Thing) -> float:
    """Distance from the lowest point of an upright thing to its centre of mass."""
    return thing.height / 3 if thing.look.shape == "triangle" else thing.height / 2


def _on(thing: Thing, surface: float, above: float = 0.0) -> Thing:
    return replace(thing, y=surface + above + rest_height(thing))


def _rolling(look: Look, chance: Chance) -> dict[str, float]:
    """Friction that lets balls roll and slows both balls and blocks at a visible rate."""
    if look.shape == "ball":
        return {"friction": 0.6, "rolling": chance.uniform("rolling", 16.0, 20.0)}
    return {"friction": chance.uniform("friction", 0.18, 0.22)}


def _drop(looks: Looks, chance: Chance) -> Scene:
    look = looks["subject"]
    bounce = chance.uniform("bounce", *_RESTITUTION[look.shape])
    thing = _thing("subject", look, chance.uniform("x", 22, 42), 0.0, restitution=bounce)
    return _scene("drop", [_on(thing, FLOOR, above=chance.uniform("height", 22, 26))])


def _throw(looks: Looks, chance: Chance) -> Scene:
    look = looks["subject"]
    thing = _thing(
        "subject",
        look,
        chance.uniform("x", 8, 10),
        chance.uniform("y", 20, 24),
        vx=chance.uniform("vx", 20, 23),
        vy=chance.uniform("vy", 48, 55),
        restitution=0.6 if look.shape == "ball" else 0.4,
    )
    return _scene("throw", [thing])


def _ramp(looks: Looks, chance: Chance) -> Scene:
    look = looks["subject"]
    slope = math.radians(chance.uniform("slope", 17, 19.5))
    foot, top = 41.0, -2.0
    rise = (foot - top) * math.tan(slope)
    friction = 0.9 if look.shape == "ball" else 0.11
    thing = _thing("subject", look, 0.0, 0.0, friction=friction, restitution=0.05)
    half, x = rest_height(thing), chance.uniform("x", 7, 9)
    surface = FLOOR + (foot - x) * math.tan(slope)
    thing = replace(
        thing,
        x=x + half * math.sin(slope),
        y=surface + half * math.cos(slope),
        angle=-slope,
    )
    ramp = Fixture("ramp", ((top, FLOOR), (foot, FLOOR), (top, FLOOR + rise)))
    return _scene("ramp", [thing], fixtures=[ramp])


def _slide(looks: Looks, chance: Chance) -> Scene:
    thing = _thing(
        "subject",
        looks["subject"],
        chance.uniform("x", 9, 11),
        0.0,
        vx=chance.uniform("vx", 52, 56),
        friction=chance.uniform("friction", 0.33, 0.37),
        restitution=0.0,
    )
    return _scene("slide", [_on(thing, FLOOR)])


def _collide(looks: Looks, chance: Chance) -> Scene:
    striker, target = looks["striker"], looks["target"]
    first = _thing(
        "striker",
        striker,
        9.0,
        0.0,
        vx=chance.uniform("vx", 40, 44),
        restitution=0.85,
        # Low, or the rolling ball would press the target down on the table as they touch.
        friction=0.1,
        rolling=12.0,
    )
    first = replace(first, spin=-first.vx / (first.width / 2))
    second = _thing(
        "target",
        target,
        chance.uniform("target x", 37, 40),
        0.0,
        restitution=0.85,
        **_rolling(target, chance),
    )
    return _scene("collide", [_on(first, FLOOR), _on(second, FLOOR)])


def _pendulum(looks: Looks, chance: Chance) -> Scene:
    length = chance.uniform("length", 24, 28)
    side = chance.choice("side", (-1.0, 1.0))
    angle = side * math.radians(chance.uniform("angle", 38, 46))
    pivot_y = 57.0
    thing = _thing(
        "subject",
        looks["subject"],
        32 + length * math.sin(angle),
        pivot_y - length * math.cos(angle),
        angle=angle,
    )
    beam = Fixture("beam", _box(22, pivot_y, 42, pivot_y + 2.0), solid=False)
    return _scene(
        "pendulum",
        [thing],
        fixtures=[beam],
        links=[Link("rod", "subject", 32.0, pivot_y, length)],
    )


def _stack(looks: Looks, chance: Chance) -> Scene:
    tower, x, top = [], chance.uniform("x", 26, 38), FLOOR
    for index in range(3 if looks["tower"].size == "small" else 2):
        block = _thing(f"tower {index + 1}", looks["tower"], x, 0.0, restitution=0.0, friction=0.8)
        tower.append(_on(block, top))
        top += block.height
    block = _thing("subject", looks["subject"], x, 0.0, restitution=0.0, friction=0.8)
    return _scene("stack", [*tower, _on(block, top, above=chance.uniform("height", 13, 15))])


def _dominoes(looks: Looks, chance: Chance) -> Scene:
    things, first, gap = [], chance.uniform("x", 16, 18), 6.8
    for index in range(5):
        domino = Thing(
            f"domino {index + 1}",
            looks["row"],
            width=2.6,
            height=14.0,
            x=first + gap * index,
            y=FLOOR + 7.0,
            restitution=0.0,
            friction=0.5,
            density=0.8,
        )
        things.append(domino)
    speed = chance.uniform("vx", 46, 52)
    ball = _thing("striker", looks["striker"], 5.0, 0.0, vx=speed, friction=0.5, rolling=10.0)
    ball = replace(ball, spin=-speed / (ball.width / 2), restitution=0.1)
    return _scene("dominoes", [*things, _on(ball, FLOOR)])


def _pour(looks: Looks, chance: Chance) -> Scene:
    width, height = 12.0, 14.0
    start = chance.uniform("start", 0.32, 0.40)
    pour = Pour(
        colour=looks["liquid"].colour,
        lip_x=chance.uniform("x", 29, 33),
        lip_y=chance.uniform("y", 41, 44),
        cup_width=width,
        cup_height=height,
        area=width * height * chance.uniform("fill", 0.64, 0.74),
        start=start,
        end=start + chance.uniform("pouring", 0.95, 1.1),
        glass_width=chance.uniform("glass", 12, 14),
        glass_height=24.0,
    )
    return _scene("pour", [], pour=pour)


def _buoyancy(looks: Looks, chance: Chance) -> Scene:
    tank = Tank(left=12.0, right=52.0, bottom=FLOOR + 1.5, level=chance.uniform("level", 33, 35))
    thing = _thing("subject", looks["subject"], chance.uniform("x", 26, 34), 0.0, restitution=0.0)
    thing = _on(thing, tank.level, above=chance.uniform("height", 10, 12))
    wall, rim = 1.5, 44.0
    walls = [
        Fixture("tank", _box(tank.left - wall, FLOOR, tank.left, rim)),
        Fixture("tank", _box(tank.right, FLOOR, tank.right + wall, rim)),
        Fixture("tank", _box(tank.left - wall, FLOOR, tank.right + wall, tank.bottom)),
    ]
    return _scene("buoyancy", [thing], fixtures=walls, tank=tank)


def _with_outcome(scene: Scene, outcome: str, chance: Chance) -> Scene:
    """A thing in a tank, light enough to float or heavy enough to sink."""
    outcome = outcome or chance.choice("outcome", OUTCOMES)
    density = chance.uniform("density", 0.42, 0.50) if outcome == "floats" else SINKING_DENSITY
    things = tuple(replace(thing, density=density) for thing in scene.things)
    return replace(scene, things=things, outcome=outcome)


def _spring(looks: Looks, chance: Chance) -> Scene:
    period = chance.uniform("period", 0.95, 1.1)
    stiffness = (2 * math.pi / period) ** 2
    middle = chance.uniform("middle", 31, 34)
    swing = chance.choice("side", (-1.0, 1.0)) * chance.uniform("swing", 9.0, 10.5)
    top = 60.0
    thing = _thing("subject", looks["subject"], 32.0, middle + swing)
    link = Link(
        "spring",
        "subject",
        32.0,
        top,
        length=top - middle - GRAVITY / stiffness,
        stiffness=stiffness,
        damping=chance.uniform("damping", 0.9, 1.2),
    )
    beam = Fixture("beam", _box(20, top, 44, top + 2.0), solid=False)
    return _scene("spring", [thing], fixtures=[beam], links=[link])


def _lever(looks: Looks, chance: Chance) -> Scene:
    half, thick, pivot_y = 23.0, 2.2, FLOOR + 8.0
    # The plank's lower left edge touches the table.
    tilt = math.asin((pivot_y - FLOOR - thick / 2) / half)
    plank = Thing(
        "plank",
        Look("bar", "fixture", "large"),
        width=2 * half,
        height=thick,
        x=32.0,
        y=pivot_y,
        angle=tilt,
        restitution=0.0,
        friction=0.9,
        density=0.8,
    )
    load = _thing("load", looks["load"], 0.0, 0.0, friction=0.9, restitution=0.0, density=1.0)
    along, up = -half + load.width / 2 + 1.0, thick / 2 + rest_height(load)
    load = replace(
        load,
        x=32.0 + along * math.cos(tilt) - up * math.sin(tilt),
        y=pivot_y + along * math.sin(tilt) + up * math.cos(tilt),
        angle=tilt,
    )
    striker = _thing(
        "striker",
        looks["striker"],
        chance.uniform("x", 46.5, 48.5),
        0.0,
        friction=0.9,
        restitution=0.0,
        density=1.5 if looks["striker"].size == "small" else 0.8,
    )
    striker = _on(striker, pivot_y + 16 * math.tan(tilt), above=chance.uniform("height", 15, 17))
    stand = Fixture("stand", ((28.0, FLOOR), (36.0, FLOOR), (32.0, pivot_y)), solid=False)
    return _scene(
        "lever",
        [plank, load, striker],
        fixtures=[stand],
        links=[Link("hinge", "plank", 32.0, pivot_y)],
    )


def _still(looks: Looks, chance: Chance) -> Scene:
    things, x = [], chance.uniform("x", 18, 26)
    for name, look in looks.items():
        if look.shape != "liquid":
            things.append(_on(_thing(name, look, x, 0.0), FLOOR))
            x += 19.0
    return _scene("still", things)


def _box(left: float, bottom: float, right: float, top: float) -> tuple[tuple[float, float], ...]:
    return ((left, bottom), (right, bottom), (right, top), (left, top))


def _scene(
    family: str,
    things: list[Thing],
    fixtures: list[Fixture] | None = None,
    links: list[Link] | None = None,
    tank: Tank | None = None,
    pour: Pour | None = None,
) -> Scene:
    return Scene(
        family=family,
        seed=0,
        palette="",
        things=tuple(things),
        fixtures=tuple(fixtures or ()),
        links=tuple(links or ()),
        tank=tank,
        pour=pour,
    )


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
            _drop,
            mirrors=False,
        ),
        Family(
            "throw",
            "a thing flies in an arc, lands and bounces on",
            ("gravity", "elasticity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            _throw,
        ),
        Family(
            "ramp",
            "a thing moves down a ramp, faster and faster, and on along the table",
            ("gravity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            _ramp,
        ),
        Family(
            "slide",
            "a block slides along the table, slows down and stops",
            ("friction", "gravity", "mass", "inertia"),
            (Role("subject", ("cube", "bar", "triangle")),),
            _slide,
        ),
        Family(
            "collide",
            "a ball rolls into a thing at rest, which moves off",
            ("momentum", "energy", "contact", "mass", "inertia", "gravity"),
            (Role("striker", ("ball",)), Role("target", _ROLLERS)),
            _collide,
        ),
        Family(
            "pendulum",
            "a thing on a rod swings to the other side and back",
            ("gravity", "energy", "mass", "inertia"),
            (_SUBJECT,),
            _pendulum,
            mirrors=False,
        ),
        Family(
            "stack",
            "a block drops on a tower of blocks and stays there",
            ("gravity", "contact", "elasticity", "mass", "inertia"),
            (Role("subject", ("cube", "triangle", "bar")), Role("tower", ("cube", "bar"))),
            _stack,
        ),
        Family(
            "dominoes",
            "a ball knocks over the first of five dominoes, and they all fall",
            ("momentum", "contact", "gravity", "mass", "inertia"),
            (Role("striker", ("ball",), ("small",)), Role("row", ("bar",), ("large",))),
            _dominoes,
        ),
        Family(
            "pour",
            "a cup tips and its liquid fills a glass",
            ("mass", "gravity", "contact", "inertia"),
            (Role("liquid", ("liquid",), ("large",)),),
            _pour,
        ),
        Family(
            "buoyancy",
            "a thing drops into a tank of water and floats, or sinks to the bottom",
            ("buoyancy", "gravity", "contact", "mass", "inertia"),
            (_SUBJECT,),
            _buoyancy,
            mirrors=False,
        ),
        Family(
            "spring",
            "a weight on a spring moves up and down, less and less",
            ("energy", "mass", "inertia"),
            (_SUBJECT,),
            _spring,
            mirrors=False,
        ),
        Family(
            "lever",
            "a weight drops on the raised end of a seesaw and lifts the other end",
            ("momentum", "contact", "gravity", "mass", "inertia"),
            (Role("striker", ("ball", "cube")), Role("load", ("cube", "bar"), ("small",))),
            _lever,
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
        scene, mirrors = _still(looks, chance), False
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
