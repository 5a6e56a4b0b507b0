"""What a scene is: things, fixtures, links and liquids, before any time has passed.

Lengths are in *units*: the picture is 64 units wide and high, so that one unit is one pixel at the
native size of 64 x 64. The origin is the lower left corner, y points up, angles are in radians,
counter-clockwise. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EXTENT = 64.0
"""Width and height of the visible world in units."""
FLOOR = 10.0
"""Height of the table top in units."""
GRAVITY = 120.0
"""Downward acceleration in units/s**2: our choice, so that a fall takes several frames at 8 fps."""
SINKING_DENSITY = 1.9
"""Of things that sink, relative to water."""
DURATION = 2.0
"""Seconds from the first to the last frame of a native clip (17 frames at 8 fps)."""
STEP = 1 / 240
"""Time step of the simulation in seconds; does not depend on the frame rate."""

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 32, 36),
    "orange": (246, 124, 12),
    "yellow": (236, 206, 0),
    "green": (34, 156, 60),
    "cyan": (0, 190, 205),
    "blue": (36, 84, 220),
    "purple": (128, 44, 190),
    "pink": (255, 92, 176),
}
"""The colours a thing can have, RGB."""
SHAPES = ("ball", "cube", "triangle", "bar")
SIZES = ("small", "large")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of what stands still.

    Args:
        wall: RGB of the background.
        table: RGB of the table.
        fixture: RGB of ramps, stands, walls of vessels.
    """

    wall: tuple[int, int, int]
    table: tuple[int, int, int]
    fixture: tuple[int, int, int]


PALETTES: Mapping[str, Palette] = {
    "cream": Palette((240, 235, 224), (150, 132, 112), (112, 110, 108)),
    "mist": Palette((226, 232, 236), (128, 132, 138), (92, 96, 104)),
    "sage": Palette((228, 236, 226), (138, 140, 124), (104, 108, 100)),
    "lilac": Palette((236, 230, 238), (140, 128, 134), (106, 100, 108)),
}
WATER = (150, 190, 224)
"""RGB of the water in a tank, paler than any thing's colour."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a text can ask of one thing.

    Args:
        shape: One of :data:`SHAPES`.
        colour: A key of :data:`COLOURS`.
        size: One of :data:`SIZES`.
    """

    shape: str
    colour: str
    size: str


@dataclass(frozen=True, slots=True)
class Thing:
    """A rigid thing and how it starts.

    Args:
        name: Its role in the family (``subject``, ``target``, ``domino 2``, ...).
        look: Shape, colour and size.
        width: Units; a ball's diameter, a triangle's base.
        height: Units; equal to the width for balls and cubes.
        x: Centre of mass.
        y: Centre of mass.
        angle: Radians.
        vx: Units/s.
        vy: Units/s.
        spin: Radians/s.
        density: Mass per unit of area; water has 1.
        restitution: Coefficient at the table, 0..1.
        friction: Coulomb coefficient at the table.
        rolling: Deceleration by rolling resistance in units/s**2.
    """

    name: str
    look: Look
    width: float
    height: float
    x: float
    y: float
    angle: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    spin: float = 0.0
    density: float = 1.0
    restitution: float = 0.2
    friction: float = 0.5
    rolling: float = 0.0


@dataclass(frozen=True, slots=True)
class Fixture:
    """Something drawn that never moves: a convex polygon.

    Args:
        name: ``ramp``, ``stand``, ``tank``, ...
        corners: Counter-clockwise.
        solid: Whether things collide with it.
        friction: Coulomb coefficient.
    """

    name: str
    corners: tuple[tuple[float, float], ...]
    solid: bool = True
    friction: float = 1.0


@dataclass(frozen=True, slots=True)
class Link:
    """A massless connection from a fixed point to a thing.

    Args:
        kind: ``rod`` (constant length), ``spring`` or ``hinge`` (the thing turns about the point).
        thing: Name of the thing.
        x: The fixed point.
        y: The fixed point.
        length: Of the rod, or of the spring without load.
        stiffness: Of the spring, per unit of the thing's mass: 1/s**2.
        damping: Of the spring, per unit of the thing's mass: 1/s.
    """

    kind: str
    thing: str
    x: float
    y: float
    length: float = 0.0
    stiffness: float = 0.0
    damping: float = 0.0


@dataclass(frozen=True, slots=True)
class Tank:
    """A vessel of still water with upright walls.

    Args:
        left: Inner wall.
        right: Inner wall.
        bottom: Inner floor.
        level: Height of the surface while nothing is in the water.
    """

    left: float
    right: float
    bottom: float
    level: float


@dataclass(frozen=True, slots=True)
class Pour:
    """A cup that tips about its lip and empties into a glass.

    Args:
        colour: A key of :data:`COLOURS`.
        lip_x: The cup's spout and pivot.
        lip_y: The cup's spout and pivot.
        cup_width: Inside.
        cup_height: Inside.
        area: Of the liquid in the cup before it tips.
        start: When the first drop leaves, seconds.
        end: When the last drop leaves, seconds.
        glass_width: Inside.
        glass_height: Inside.
        mirrored: True if the cup stands to the right of the glass.
    """

    colour: str
    lip_x: float
    lip_y: float
    cup_width: float
    cup_height: float
    area: float
    start: float
    end: float
    glass_width: float
    glass_height: float
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that this scene will break.

    Args:
        id: A key of :data:`phybench.tabletop.world.violations.VIOLATIONS`.
        law: The law it breaks, in VideoPhy-2's words.
        target: Name of the thing that breaks it, or ``liquid``.
        onset: Earliest time at which it may begin, seconds.
        how: Numbers of the intervention (jump, factor, ...).
        second_colour: What a morphing thing turns into; empty if it does not change colour.
    """

    id: str
    law: str
    target: str
    onset: float
    how: Mapping[str, float]
    second_colour: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a clip follows from.

    Args:
        family: A key of :data:`phybench.tabletop.world.families.FAMILIES`.
        seed: What its geometry was drawn with.
        palette: A key of :data:`PALETTES`.
        things: Rigid things, in drawing order.
        fixtures: In drawing order.
        links: Strings, springs and hinges.
        tank: Still water, if any.
        pour: Poured liquid, if any.
        violation: The law it breaks, if any.
        outcome: What lawfully happens where a family has two outcomes (``floats``, ``sinks``).
    """

    family: str
    seed: int
    palette: str
    things: tuple[Thing, ...] = ()
    fixtures: tuple[Fixture, ...] = ()
    links: tuple[Link, ...] = ()
    tank: Tank | None = None
    pour: Pour | None = None
    violation: Violation | None = None
    outcome: str = ""

    def thing(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            KeyError: If there is none.
        """
        for thing in self.things:
            if thing.name == name:
                return thing
        raise KeyError(name)


def balance(link: Link) -> float:
    """Height at which a weight on a spring can rest."""
    return link.y - link.length - GRAVITY / link.stiffness
