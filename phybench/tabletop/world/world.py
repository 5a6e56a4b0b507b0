"""The running simulation of a scene: a pymunk space, plus what pymunk does not know of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pymunk

from phybench.tabletop.world.fluids import submerged_area
from phybench.tabletop.world.scene import EXTENT, FLOOR, GRAVITY, STEP, Fixture, Scene, Thing

_DENSITY_SCALE = 0.01
_WATER_DRAG = 3.0
"""Deceleration per unit of speed of a fully submerged thing of water's density, 1/s."""


@dataclass(slots=True)
class World:
    """The running simulation; interventions act on it between steps."""

    scene: Scene
    space: pymunk.Space
    bodies: dict[str, pymunk.Body]
    shapes: dict[str, pymunk.Shape]
    time: float = 0.0
    level: float = 0.0
    onset: float | None = None
    gone: set[str] = field(default_factory=set)
    scale: dict[str, float] = field(default_factory=dict)
    recoloured: set[str] = field(default_factory=set)
    copy: Thing | None = None
    drained: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def things(self) -> tuple[Thing, ...]:
        """Everything there is by now: the scene's things and a copy that has appeared."""
        return (*self.scene.things, self.copy) if self.copy else self.scene.things

    @property
    def present(self) -> list[Thing]:
        """The things that have not vanished."""
        return [thing for thing in self.things if thing.name not in self.gone]


def build_world(scene: Scene) -> World:
    """The scene at time zero."""
    space = pymunk.Space()
    space.gravity = (0.0, -GRAVITY)
    space.iterations = 20
    space.collision_slop = 0.05
    floor = pymunk.Segment(
        space.static_body, (-3 * EXTENT, FLOOR - 50), (4 * EXTENT, FLOOR - 50), 50.0
    )
    space.add(floor)
    _surface(floor, 1.0)
    for fixture in scene.fixtures:
        if fixture.solid:
            space.add(_fixture_shape(space, fixture))
    world = World(scene, space, {}, {})
    for thing in scene.things:
        add_thing(world, thing)
    for link in scene.links:
        space.add(_constraint(world, link.thing, scene))
    if scene.tank:
        world.level = scene.tank.level
    return world


def _surface(shape: pymunk.Shape, friction: float) -> None:
    # pymunk multiplies the two shapes' values: with 1 here, a thing's own values are the pair's.
    shape.elasticity = 1.0
    shape.friction = friction


def _fixture_shape(space: pymunk.Space, fixture: Fixture) -> pymunk.Shape:
    shape = pymunk.Poly(space.static_body, list(fixture.corners))
    _surface(shape, fixture.friction)
    return shape


def add_thing(world: World, thing: Thing) -> None:
    """Put a thing into the running simulation as it stands in its description."""
    mass = mass_of(thing)
    body = pymunk.Body(mass, _free_moment(world.scene, thing, mass))
    body.position, body.angle = (thing.x, thing.y), thing.angle
    body.velocity, body.angular_velocity = (thing.vx, thing.vy), thing.spin
    shape = thing_shape(body, thing, 1.0)
    shape.elasticity, shape.friction = thing.restitution, thing.friction
    world.space.add(body, shape)
    world.bodies[thing.name], world.shapes[thing.name] = body, shape


_AREA = {"ball": math.pi / 4, "triangle": 0.5}
"""Area of a shape relative to the rectangle around it."""


def outline(thing: Thing, scale: float = 1.0) -> list[tuple[float, float]]:
    """Corners of a thing about its centre of mass, counter-clockwise; empty for a ball."""
    half, height = thing.width * scale / 2, thing.height * scale
    if thing.look.shape == "ball":
        return []
    if thing.look.shape == "triangle":
        return [(-half, -height / 3), (half, -height / 3), (0.0, 2 * height / 3)]
    return [(-half, -height / 2), (half, -height / 2), (half, height / 2), (-half, height / 2)]


def thing_shape(body: pymunk.Body, thing: Thing, scale: float) -> pymunk.Shape:
    """The collision shape of a thing, grown by a linear factor."""
    if thing.look.shape == "ball":
        return pymunk.Circle(body, thing.width * scale / 2)
    return pymunk.Poly(body, outline(thing, scale), radius=0.02)


def mass_of(thing: Thing) -> float:
    """Mass of a thing, in the simulation's arbitrary unit."""
    area = thing.width * thing.height * _AREA.get(thing.look.shape, 1.0)
    return area * thing.density * _DENSITY_SCALE


def moment_of(thing: Thing, mass: float) -> float:
    """Moment of inertia of a thing about its centre of mass."""
    if thing.look.shape == "ball":
        return pymunk.moment_for_circle(mass, 0.0, thing.width / 2)
    return pymunk.moment_for_poly(mass, outline(thing))


def _free_moment(scene: Scene, thing: Thing, mass: float) -> float:
    # What hangs or swims does not turn by itself: its links and the water hold it upright.
    if scene.tank or any(link.thing == thing.name and link.kind != "hinge" for link in scene.links):
        return math.inf
    return moment_of(thing, mass)


def _constraint(world: World, name: str, scene: Scene) -> pymunk.Constraint:
    link = next(link for link in scene.links if link.thing == name)
    body, static = world.bodies[name], world.space.static_body
    anchor = (link.x, link.y)
    if link.kind == "rod":
        return pymunk.PinJoint(static, body, anchor, (0.0, 0.0))
    if link.kind == "hinge":
        return pymunk.PivotJoint(static, body, anchor)
    return pymunk.DampedSpring(
        static,
        body,
        anchor,
        (0.0, 0.0),
        link.length,
        link.stiffness * body.mass,
        link.damping * body.mass,
    )


def apply_natural_forces(world: World) -> None:
    """Rolling resistance and buoyancy, which pymunk does not have."""
    for thing in world.present:
        if thing.rolling:
            _resist_rolling(world.bodies[thing.name], thing)
    _buoy(world)


def _resist_rolling(body: pymunk.Body, thing: Thing) -> None:
    speed = abs(body.velocity.x)
    if body.position.y - thing.height / 2 > FLOOR + 0.3 or speed == 0.0:
        return
    kept = max(0.0, 1.0 - thing.rolling * STEP / speed)
    body.velocity = (body.velocity.x * kept, body.velocity.y)
    body.angular_velocity *= kept


def _buoy(world: World) -> None:
    """Lift by the displaced water, drag, and the level that the displaced water makes."""
    tank = world.scene.tank
    if tank is None:
        return
    displaced = 0.0
    for thing in world.present:
        body = world.bodies[thing.name]
        wet, whole = submerged_area(thing, body.position.y, world.level)
        drag = _WATER_DRAG * wet / whole * body.mass / thing.density
        lift = wet * _DENSITY_SCALE * GRAVITY
        body.force = (-drag * body.velocity.x, lift - drag * body.velocity.y)
        displaced += wet
    still = tank.bottom + (tank.level - tank.bottom) * (1.0 - world.drained)
    world.level = still + displaced / (tank.right - tank.left)
