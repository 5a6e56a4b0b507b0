"""How each violation is done to the running simulation.

An intervention is called before every step from the violation's earliest onset on, and notes in
``world.onset`` when the law is first broken, which may be later (the bounce, the touch).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pymunk

from phybench.tabletop.world.scene import (
    EXTENT,
    GRAVITY,
    SINKING_DENSITY,
    STEP,
    Thing,
    Violation,
    balance,
)
from phybench.tabletop.world.world import World, add_thing, thing_shape

_TOUCH_NOTHING = pymunk.ShapeFilter(mask=0)
_GROWING = 0.25
"""Seconds that a change of size takes."""


def intervene(world: World) -> None:
    """Apply the scene's violation, if there is one and its time has come."""
    violation = world.scene.violation
    if violation and world.time >= violation.onset:
        _ACTIONS[violation.id](world, violation)


def _begin(world: World) -> bool:
    """Note the onset; True on the first call only."""
    first = world.onset is None
    if first:
        world.onset = world.time
    return first


def _target(world: World, violation: Violation) -> pymunk.Body:
    return world.bodies[violation.target]


def _levitates(world: World, violation: Violation) -> None:
    body = _target(world, violation)
    if _begin(world):
        world.memory["height"] = body.position.y + violation.how["rise"]
        body.angular_velocity *= 0.2
    climb = 7.0 * (world.memory["height"] - body.position.y)
    keep = 1.0 if violation.how["keep"] else 0.93
    body.velocity = (body.velocity.x * keep, max(-30.0, min(40.0, climb)))
    body.force = (0.0, body.mass * GRAVITY)


def _falls_upward(world: World, violation: Violation) -> None:
    body = _target(world, violation)
    _begin(world)
    if "uphill" in violation.how:
        tilt = world.scene.thing(violation.target).angle
        sign = math.copysign(1.0, -tilt)
        push = body.mass * violation.how["uphill"] * sign
        force = (-push * math.cos(tilt), -push * math.sin(tilt))
    else:
        force = (0.0, body.mass * GRAVITY * (1.0 + violation.how["lift"]))
    body.apply_force_at_world_point(force, body.position)


def _gains_energy(world: World, violation: Violation) -> None:
    how, body = violation.how, _target(world, violation)
    if "bounce" in how:
        _bounces_higher(world, violation)
    elif "kick" in how:
        _kicks(world, violation)
    else:
        _begin(world)
        gain = how.get("push") or how.get("drive")
        if gain:
            force = body.velocity.normalized() * (body.mass * gain)
        else:
            damping = world.scene.links[0].damping
            force = body.velocity * (body.mass * (damping + how["growth"]))
        body.apply_force_at_world_point(force, body.position)


def _bounces_higher(world: World, violation: Violation) -> None:
    if not world.memory:
        world.memory["set"] = 1.0
        world.shapes[violation.target].elasticity = violation.how["bounce"]
        below = [name for name in world.shapes if name.startswith("tower")]
        if below:
            world.shapes[below[-1]].elasticity = 1.0
    if world.onset is None and _touching(world, violation.target):
        _begin(world)


def _kicks(world: World, violation: Violation) -> None:
    touching = _touching(world, violation.target, "striker")
    if touching:
        _begin(world)
    elif world.onset is not None and not world.memory:
        world.memory["done"] = 1.0
        body = _target(world, violation)
        body.velocity = (body.velocity.x * violation.how["kick"], body.velocity.y)
        body.angular_velocity *= violation.how["kick"]


def _touching(world: World, name: str, *others: str) -> bool:
    """Whether a thing is in contact with one of the others, or with anything if none is given."""
    touched: list[pymunk.Shape] = []
    world.bodies[name].each_arbiter(lambda contact: touched.extend(contact.shapes))
    if not others:
        return bool(touched)
    return any(world.shapes[other] in touched for other in others)


def _vanishes(world: World, violation: Violation) -> None:
    if _begin(world):
        body, shape = _target(world, violation), world.shapes[violation.target]
        world.space.remove(*body.constraints, body, shape)
        world.gone.add(violation.target)


def _duplicates(world: World, violation: Violation) -> None:
    if not _begin(world):
        return
    body, thing = _target(world, violation), world.scene.thing(violation.target)
    dx = violation.how["dx"]
    if not 7.0 <= body.position.x + dx <= EXTENT - 7.0:
        dx = -dx
    world.copy = replace(
        thing,
        name=f"{thing.name} copy",
        x=body.position.x + dx,
        y=body.position.y + violation.how["dy"],
        angle=body.angle,
        vx=body.velocity.x,
        vy=body.velocity.y,
        spin=body.angular_velocity,
    )
    add_thing(world, world.copy)


def _teleports(world: World, violation: Violation) -> None:
    body = _target(world, violation)
    if world.onset is not None:
        return
    _begin(world)
    if "mirror" in violation.how:
        pivot = world.scene.links[0].x
        body.position = (2 * pivot - body.position.x, body.position.y)
        body.velocity = (-body.velocity.x, body.velocity.y)
        return
    dx = violation.how["dx"]
    if not 6.0 <= body.position.x + dx <= EXTENT - 6.0:
        dx = -dx
    body.position += (dx, violation.how["dy"])


def _passes_through(world: World, violation: Violation) -> None:
    if world.scene.family == "collide":
        world.shapes["striker"].filter = pymunk.ShapeFilter(group=1)
        world.shapes["target"].filter = pymunk.ShapeFilter(group=1)
    elif world.scene.family in ("stack", "dominoes", "lever"):
        for shape in world.shapes.values():
            shape.filter = pymunk.ShapeFilter(categories=2)
        world.shapes[violation.target].filter = pymunk.ShapeFilter(mask=~2 & 0xFFFFFFFF)
    else:
        world.shapes[violation.target].filter = _TOUCH_NOTHING
    if world.scene.tank:
        _sinks(world, violation)
    if world.onset is None and _overlaps_solid(world, violation.target):
        _begin(world)


def _overlaps_solid(world: World, name: str) -> bool:
    """Whether a thing has sunk into something that it no longer collides with."""
    shape, body, thing = world.shapes[name], world.bodies[name], world.scene.thing(name)
    reach = min(thing.width, thing.height) / 2 - 1.0
    for solid in world.space.shapes:
        still_solid = solid.body is world.space.static_body and shape.filter != _TOUCH_NOTHING
        if solid is shape or still_solid:
            continue
        if solid.point_query(body.position).distance < reach:
            return True
    return False


def _no_reaction(world: World, violation: Violation) -> None:
    body = _target(world, violation)
    if body.body_type != pymunk.Body.KINEMATIC:
        _hold(world, body)
        world.shapes[violation.target].elasticity = 0.0
    if world.onset is None and _hit(world, violation.target):
        _begin(world)


def _hit(world: World, name: str) -> bool:
    others = [other for other in world.shapes if other not in (name, "load")]
    return _touching(world, name, *others)


def _sinks(world: World, violation: Violation) -> Thing:
    """Let a thing that would float go down first, to where the law can be seen to break."""
    thing, body = world.scene.thing(violation.target), _target(world, violation)
    body.force = (body.force.x, body.force.y * thing.density / SINKING_DENSITY)
    return thing


def _hold(world: World, body: pymunk.Body) -> None:
    """Nothing moves it any more; joints between two immovable bodies have no solution."""
    world.space.remove(*body.constraints)
    body.body_type = pymunk.Body.KINEMATIC
    body.velocity, body.angular_velocity = (0.0, 0.0), 0.0


def _moves_untouched(world: World, violation: Violation) -> None:
    if not _begin(world):
        return
    body = _target(world, violation)
    if "spin" in violation.how:
        half = world.scene.thing(violation.target).height / 2
        body.angular_velocity = -violation.how["spin"]
        body.velocity = (violation.how["spin"] * half, 0.0)
    else:
        body.velocity = (violation.how["speed"], 0.0)


def _freezes(world: World, violation: Violation) -> None:
    everything = violation.target == "every domino"
    names = list(world.bodies) if everything else [violation.target]
    bodies = [world.bodies[name] for name in names]
    if world.onset is None and not _may_freeze(world, bodies[0], violation):
        return
    if _begin(world):
        for body in bodies:
            _hold(world, body)


def _may_freeze(world: World, body: pymunk.Body, violation: Violation) -> bool:
    """Whether stopping now is against the law: not at a turning point, nor where it could rest."""
    how = violation.how
    if "depth" in how:
        half = _sinks(world, violation).height / 2
        return body.position.y + half < world.level - how["depth"]
    if "off" in how:
        off = abs(body.position.y - balance(world.scene.links[0]))
        return off > how["off"] and abs(body.velocity.y) > 25.0
    return True


def _morphs(world: World, violation: Violation) -> None:
    name = violation.target
    _begin(world)
    if violation.second_colour:
        world.recoloured.add(name)
    growth = violation.how["grow"] - 1.0
    progress = min(1.0, (world.time - (world.onset or 0.0) + STEP) / _GROWING)
    scale = 1.0 + growth * progress
    if scale == world.scale.get(name, 1.0):
        return
    world.scale[name] = scale
    old = world.shapes[name]
    new = thing_shape(world.bodies[name], world.scene.thing(name), scale)
    new.elasticity, new.friction = old.elasticity, old.friction
    world.space.remove(old)
    world.space.add(new)
    world.shapes[name] = new


def _liquid_disappears(world: World, violation: Violation) -> None:
    _begin(world)
    progress = min(1.0, (world.time - (world.onset or 0.0)) / 0.6)
    world.drained = (1.0 - violation.how["keep"]) * progress


_ACTIONS: Mapping[str, Callable[[World, Violation], None]] = {
    "levitates": _levitates,
    "falls_upward": _falls_upward,
    "gains_energy": _gains_energy,
    "vanishes": _vanishes,
    "duplicates": _duplicates,
    "teleports": _teleports,
    "passes_through": _passes_through,
    "no_reaction": _no_reaction,
    "moves_untouched": _moves_untouched,
    "freezes": _freezes,
    "morphs": _morphs,
    "liquid_disappears": _liquid_disappears,
}
