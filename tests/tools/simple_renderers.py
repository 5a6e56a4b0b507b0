"""Three small renderers that share nothing with tabletop's, for testing pixel judges.

Every clip is an analytic trajectory of balls or blocks drawn with NumPy on a gradient, a textured
or a dark background, lawful or with one law broken. Lengths are fractions of the picture's height
(y grows downward), times are seconds; the pictures are ``size`` x ``size`` pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float64]
STYLES = ("gradient", "textured", "dark")
FLOOR = 0.85
GRAVITY = 0.9  # picture heights per s^2: a fall over the picture takes about 1.4 s
COLOURS = {
    "red": (214, 40, 40),
    "blue": (30, 90, 220),
    "green": (20, 150, 60),
    "yellow": (240, 200, 30),
    "purple": (140, 50, 170),
    "orange": (245, 130, 20),
}


@dataclass(frozen=True)
class Thing:
    """A ball (``half_height`` 0) or an upright block at one moment."""

    x: float
    y: float
    radius: float
    colour: tuple[int, int, int]
    half_height: float = 0.0
    string_to: tuple[float, float] | None = None


@dataclass(frozen=True)
class SimpleClip:
    frames: NDArray[np.uint8]
    fps: float
    scene: str
    style: str
    violation: str | None
    colours: tuple[str, ...] = ()  # of the things, in the order of the scene


@dataclass
class World:
    """The moments of a clip: ``at(t)`` gives the things there are at time ``t``."""

    at: Callable[[float], list[Thing]]
    duration: float
    extra: dict[str, float] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------- drawing


def _backdrop(style: str, size: int, rng: np.random.Generator) -> Image:
    rows = np.linspace(0, 1, size)[:, None, None]
    picture = np.empty((size, size, 3))
    if style == "gradient":
        picture[:] = (1 - rows) * np.array([150, 190, 235]) + rows * np.array([225, 235, 245])
        floor = np.array([120, 140, 110])
    elif style == "textured":
        grain = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 40)
        picture[:] = np.array([205, 195, 175]) + 7 * (grain / grain.std())[..., None]
        floor = np.array([150, 120, 90]) + 6 * (grain / grain.std())[int(FLOOR * size) :, :, None]
    else:
        picture[:] = np.array([22, 26, 40])
        floor = np.array([60, 62, 70])
    picture[round(FLOOR * size) :] = (
        floor[-(size - round(FLOOR * size)) :] if (style == "textured") else floor
    )
    return picture


def _blend(picture: Image, cover: Image, colour: object) -> None:
    picture += cover[..., None] * (np.asarray(colour, dtype=float) - picture)


def _distance(thing: Thing, size: int) -> Image:
    """Signed distance to the thing's edge in pixels, negative inside."""
    y, x = np.mgrid[:size, :size] + 0.5
    dx, dy = x - thing.x * size, y - thing.y * size
    if not thing.half_height:
        return np.hypot(dx, dy) - thing.radius * size
    return np.maximum(np.abs(dx) - thing.radius * size, np.abs(dy) - thing.half_height * size)


def _cover(distance: Image) -> Image:
    return np.clip(0.5 - distance, 0, 1)


def _draw_string(picture: Image, thing: Thing, style: str) -> None:
    assert thing.string_to is not None
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size] + 0.5
    start, end = np.array(thing.string_to) * size, np.array([thing.x, thing.y]) * size
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along)
    share = np.clip(share, 0, 1)
    away = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    grey = 215 if style == "dark" else 60
    _blend(picture, _cover(away - 0.6), (grey, grey, grey))


def _draw(picture: Image, thing: Thing, style: str) -> None:
    size = picture.shape[0]
    if thing.string_to is not None:
        _draw_string(picture, thing, style)
    distance = _distance(thing, size)
    if style == "dark":
        _blend(picture, _cover(distance - max(1.0, size / 96)), (235, 235, 235))
    _blend(picture, _cover(distance), thing.colour)
    if style == "textured":
        lit = Thing(thing.x - 0.3 * thing.radius, thing.y - 0.3 * thing.radius, 0.3 * thing.radius,
                    thing.colour)  # fmt: skip
        _blend(picture, 0.5 * _cover(_distance(lit, size)), (255, 255, 255))


def _draw_shadow(picture: Image, thing: Thing) -> None:
    """A soft dark ellipse on the floor below the thing, fainter the higher the thing is."""
    size = picture.shape[0]
    y, x = np.mgrid[:size, :size] + 0.5
    height = max(0.0, FLOOR - thing.y)
    wide, flat = thing.radius * (1 + height), 0.25 * thing.radius
    inside = ((x / size - thing.x) / wide) ** 2 + ((y / size - FLOOR - flat) / flat) ** 2
    picture *= 1 - (0.25 * np.exp(-3 * height) * np.clip(1.5 - inside, 0, 1))[..., None]


def render(
    world: World, style: str, size: int, frames: int, fps: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Frames of shape (frames, size, size, 3)."""
    backdrop = _backdrop(style, size, rng)
    out = np.empty((frames, size, size, 3), dtype=np.uint8)
    for index in range(frames):
        picture = backdrop.copy()
        things = world.at(index / fps)
        if style == "textured":
            for thing in things:
                _draw_shadow(picture, thing)
        for thing in things:
            _draw(picture, thing, style)
        out[index] = np.clip(np.rint(picture), 0, 255)
    return out


# ----------------------------------------------------------------------------------------- scenes


def bouncing_height(t: float, drop: float, gravity: float, restitution: float) -> float:
    """Height above the floor of a point that was let go at ``drop`` and bounces."""
    fall = np.sqrt(2 * drop / gravity)
    if t < fall:
        return drop - 0.5 * gravity * t * t
    t, speed = t - fall, gravity * fall * restitution
    while speed > 0.02:
        flight = 2 * speed / gravity
        if t < flight:
            return speed * t - 0.5 * gravity * t * t
        t, speed = t - flight, speed * restitution
    return 0.0


def _bounce(rng: np.random.Generator, violation: str | None, colours: list) -> World:
    radius, x = rng.uniform(0.06, 0.09), rng.uniform(0.3, 0.7)
    drop = rng.uniform(0.45, 0.6)
    restitution = rng.uniform(0.55, 0.8)
    if violation == "gains_energy":
        drop, restitution = rng.uniform(0.2, 0.28), rng.uniform(1.3, 1.45)
    event = np.sqrt(2 * drop / GRAVITY) * rng.uniform(0.45, 0.75)

    def at(t: float) -> list[Thing]:
        height = bouncing_height(t, drop, GRAVITY, restitution)
        if violation == "levitates":
            height = bouncing_height(min(t, event), drop, GRAVITY, restitution)
        if violation == "falls_upward":
            height = 0.5 * GRAVITY * t * t
        if violation == "vanishes" and t > event:
            return []
        if violation == "passes_through" and t > np.sqrt(2 * drop / GRAVITY):
            height = drop - 0.5 * GRAVITY * t * t
        shift = 0.3 * np.sign(0.5 - x) if violation == "teleports" and t > event else 0.0
        return [Thing(x + shift, FLOOR - radius - height, radius, colours[0])]

    return World(at, 2.2)


def _projectile(rng: np.random.Generator, violation: str | None, colours: list) -> World:
    radius = rng.uniform(0.05, 0.08)
    side = rng.choice([-1, 1])
    speed, up = rng.uniform(0.4, 0.55), rng.uniform(0.55, 0.8)
    event = rng.uniform(0.5, 0.7)

    def at(t: float) -> list[Thing]:
        gravity = -0.2 * GRAVITY if violation == "falls_upward" and t > 0 else GRAVITY
        when = min(t, event) if violation == "freezes" else t
        height = 0.25 + up * when - 0.5 * gravity * when * when
        if violation == "falls_upward":
            height = 0.1 + 0.1 * t + 0.5 * 0.6 * GRAVITY * t * t
        if violation == "vanishes" and t > event:
            return []
        x = 0.5 + side * (speed * when - 0.38)
        grown = radius * (1.7 if violation == "morphs" and t > event else 1.0)
        return [Thing(x, FLOOR - radius - height, grown, colours[0])]

    return World(at, 1.5)  # it is still in the air


def _collision(rng: np.random.Generator, violation: str | None, colours: list) -> World:
    radius = rng.uniform(0.06, 0.08)
    speed, restitution = rng.uniform(0.35, 0.5), rng.uniform(0.6, 0.95)
    start, target = 0.12, 0.52
    hit = (target - start - 2 * radius) / speed
    after_first, after_second = 0.5 * (1 - restitution) * speed, 0.5 * (1 + restitution) * speed
    if violation == "no_reaction":
        after_first, after_second = 0.0, 0.0
    if violation == "passes_through":
        after_first, after_second = speed, 0.0
    if violation == "gains_energy":
        after_first, after_second = -0.6 * speed, 1.6 * speed

    def at(t: float) -> list[Thing]:
        late = max(0.0, t - hit)
        first = start + speed * min(t, hit) + after_first * late
        second = target + after_second * late
        floor = FLOOR - radius
        return [Thing(first, floor, radius, colours[0]), Thing(second, floor, radius, colours[1])]

    return World(at, 1.8)


def _pendulum(rng: np.random.Generator, violation: str | None, colours: list) -> World:
    radius, length = rng.uniform(0.06, 0.08), rng.uniform(0.4, 0.5)
    swing = np.radians(rng.uniform(25, 45))
    omega = np.sqrt(9 * GRAVITY / length / 4)
    decay = rng.uniform(0.0, 0.15)
    if violation == "gains_energy":
        swing, decay = np.radians(16), -0.45
    event = 2 * np.pi / omega * rng.uniform(0.08, 0.17)

    def at(t: float) -> list[Thing]:
        when = min(t, event) if violation == "freezes" else t
        angle = swing * np.exp(-decay * when) * np.cos(omega * when)
        pivot = (0.5, 0.15)
        bob = (pivot[0] + length * np.sin(angle), pivot[1] + length * np.cos(angle))
        return [Thing(*bob, radius, colours[0], string_to=pivot)]

    return World(at, 2.6)


def _slide(rng: np.random.Generator, violation: str | None, colours: list) -> World:
    half, tall = rng.uniform(0.07, 0.1), rng.uniform(0.05, 0.08)
    distance, stop = rng.uniform(0.4, 0.55), rng.uniform(1.0, 1.5)
    side = rng.choice([-1, 1])
    event = rng.uniform(0.4, 0.6)

    def at(t: float) -> list[Thing]:
        share = 1 - max(0.0, 1 - t / stop) ** 2
        if violation == "gains_energy":
            share = 0.1 * t + 0.3 * t * t
        if violation == "vanishes" and t > event:
            return []
        shift = distance * share - 0.35
        if violation == "teleports" and t > event:
            shift += 0.25
        block = Thing(0.5 + side * shift, FLOOR - tall, half, colours[0], half_height=tall)
        again = Thing(0.5 - side * 0.3, 0.3, half, colours[0], half_height=tall)
        return [block, again] if violation == "duplicates" and t > event else [block]

    return World(at, 1.6)


SCENES: dict[str, tuple[Callable[..., World], tuple[str, ...]]] = {
    "bounce": (
        _bounce,
        ("levitates", "falls_upward", "gains_energy", "vanishes", "teleports", "passes_through"),
    ),
    "projectile": (_projectile, ("falls_upward", "freezes", "vanishes", "morphs")),
    "collision": (_collision, ("no_reaction", "passes_through", "gains_energy")),
    "pendulum": (_pendulum, ("gains_energy", "freezes")),
    "slide": (_slide, ("gains_energy", "vanishes", "teleports", "duplicates")),
}


def draw_simple(
    scene: str, seed: int, *, style: str, violation: str | None = None, size: int | None = None
) -> SimpleClip:
    """One clip of a scene in a style; equal arguments give equal frames."""
    rng = np.random.default_rng([seed, *scene.encode(), *style.encode()])
    size = size or int(rng.choice([64, 96, 128]))
    fps = float(rng.choice([8, 12, 16, 24]))
    names = list(rng.permutation(list(COLOURS)))
    build, known = SCENES[scene]
    if violation is not None and violation not in known:
        raise ValueError(f"Expected `violation` of {scene} to be one of {known}, got {violation}.")
    world = build(rng, violation, [COLOURS[name] for name in names])
    frames = render(world, style, size, int(world.duration * fps) + 1, fps, rng)
    return SimpleClip(frames, fps, scene, style, violation, tuple(map(str, names)))
