"""How each family is laid out, with its geometry drawn by name from a seed.

Every function here takes the looks of the family's roles and the chance to draw from, and returns
the scene running from left to right. Numbers are in the units of
:mod:`phybench.tabletop.world.scene`, chosen so that the event begins at once, is over within two
seconds and stays in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.scene import (
    FLOOR,
    GRAVITY,
    Fixture,
    Link,
    Look,
    Pour,
    Scene,
    Tank,
    Thing,
)

Looks = Mapping[str, Look]

_DIMENSIONS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "ball": ((7.5, 7.5), (11.5, 11.5)),
    "cube": ((7.0, 7.0), (10.5, 10.5)),
    "triangle": ((9.0, 8.0), (13.0, 11.5)),
    "bar": ((11.0, 5.0), (16.0, 6.5)),
}
"""Width and height in units, small and large."""
_RESTITUTION = {"ball": (0.60, 0.70), "cube": (0.42, 0.52), "triangle": (0.40, 0.48)}


def _thing(name: str, look: Look, x: float, y: float, **start: float) -> Thing:
    width, height = _DIMENSIONS[look.shape][look.size == "large"]
    return Thing(name, look, width, height, x, y, **start)


def _rest_height(thing: Thing) -> float:
    """Distance from the lowest point of an upright thing to its centre of mass."""
    return thing.height / 3 if thing.look.shape == "triangle" else thing.height / 2


def _on(thing: Thing, surface: float, above: float = 0.0) -> Thing:
    return replace(thing, y=surface + above + _rest_height(thing))


def _rolling(look: Look, chance: Chance) -> dict[str, float]:
    """Friction that lets balls roll and slows both balls and blocks at a visible rate."""
    if look.shape == "ball":
        return {"friction": 0.6, "rolling": chance.uniform("rolling", 16.0, 20.0)}
    return {"friction": chance.uniform("friction", 0.18, 0.22)}


def drop(looks: Looks, chance: Chance) -> Scene:
    """A thing in the air above the table."""
    look = looks["subject"]
    bounce = chance.uniform("bounce", *_RESTITUTION[look.shape])
    thing = _thing("subject", look, chance.uniform("x", 22, 42), 0.0, restitution=bounce)
    return _scene("drop", [_on(thing, FLOOR, above=chance.uniform("height", 22, 26))])


def throw(looks: Looks, chance: Chance) -> Scene:
    """A thing on its way up and across."""
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


def ramp(looks: Looks, chance: Chance) -> Scene:
    """A thing at rest near the top of a ramp."""
    look = looks["subject"]
    slope = math.radians(chance.uniform("slope", 17, 19.5))
    foot, top = 41.0, -2.0
    rise = (foot - top) * math.tan(slope)
    friction = 0.9 if look.shape == "ball" else 0.11
    thing = _thing("subject", look, 0.0, 0.0, friction=friction, restitution=0.05)
    half, x = _rest_height(thing), chance.uniform("x", 7, 9)
    surface = FLOOR + (foot - x) * math.tan(slope)
    thing = replace(
        thing,
        x=x + half * math.sin(slope),
        y=surface + half * math.cos(slope),
        angle=-slope,
    )
    ramp = Fixture("ramp", ((top, FLOOR), (foot, FLOOR), (top, FLOOR + rise)))
    return _scene("ramp", [thing], fixtures=[ramp])


def slide(looks: Looks, chance: Chance) -> Scene:
    """A block that has just been pushed."""
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


def collide(looks: Looks, chance: Chance) -> Scene:
    """A ball rolling towards a thing at rest."""
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


def pendulum(looks: Looks, chance: Chance) -> Scene:
    """A thing on a rod, held to one side."""
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


def stack(looks: Looks, chance: Chance) -> Scene:
    """A tower, and a block in the air above it."""
    tower, x, top = [], chance.uniform("x", 26, 38), FLOOR
    for index in range(3 if looks["tower"].size == "small" else 2):
        block = _thing(f"tower {index + 1}", looks["tower"], x, 0.0, restitution=0.0, friction=0.8)
        tower.append(_on(block, top))
        top += block.height
    block = _thing("subject", looks["subject"], x, 0.0, restitution=0.0, friction=0.8)
    return _scene("stack", [*tower, _on(block, top, above=chance.uniform("height", 13, 15))])


def dominoes(looks: Looks, chance: Chance) -> Scene:
    """A ball rolling towards five dominoes."""
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


def pour(looks: Looks, chance: Chance) -> Scene:
    """A cup with liquid beside and above a glass."""
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


def buoyancy(looks: Looks, chance: Chance) -> Scene:
    """A thing in the air above a tank of water."""
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


def spring(looks: Looks, chance: Chance) -> Scene:
    """A weight on a spring, away from where it balances."""
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


def lever(looks: Looks, chance: Chance) -> Scene:
    """A seesaw with a load on its low end, and a thing in the air above its high end."""
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
    along, up = -half + load.width / 2 + 1.0, thick / 2 + _rest_height(load)
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


def still(looks: Looks, chance: Chance) -> Scene:
    """Things at rest on the table."""
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
