"""From a trajectory to pixels: anti-aliased convex shapes by their signed distance, in NumPy.

Each shape is drawn for all frames at once, inside the box that it ever visits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.fluids import EXIT_SPEED, GLASS_BOTTOM, cup_liquid, fallen
from phybench.tabletop.scene import (
    COLOURS,
    EXTENT,
    FLOOR,
    GRAVITY,
    PALETTES,
    WATER,
    Link,
    Palette,
    Pour,
    Scene,
)
from phybench.tabletop.simulate import Track, Trajectory
from phybench.tabletop.world import outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_EDGE = 0.6
"""Half the width of lines (rods, springs, walls of cups) in units."""
_COILS = 7
_COIL_REACH = 3.0


@dataclass(frozen=True, slots=True)
class _Canvas:
    """The picture being made: float32 (T, H, W, 3) and how world and pixels relate."""

    pixels: NDArray[np.float32]
    scale: float
    left: float
    top: float

    def box(self, xs: Floats, ys: Floats) -> tuple[slice, slice]:
        """Rows and columns of pixels that can touch points within the given bounds."""
        _, height, width, _ = self.pixels.shape
        first_column = int((xs.min() - self.left) * self.scale) - 2
        last_column = int((xs.max() - self.left) * self.scale) + 3
        first_row = int((self.top - ys.max()) * self.scale) - 2
        last_row = int((self.top - ys.min()) * self.scale) + 3
        rows = slice(max(0, min(height, first_row)), max(0, min(height, last_row)))
        columns = slice(max(0, min(width, first_column)), max(0, min(width, last_column)))
        return rows, columns

    def grid(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """World coordinates of the pixels' centres: x of shape (1, 1, w), y of shape (1, h, 1)."""
        x = (
            self.left
            + (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / self.scale
        )
        y = self.top - (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / self.scale
        return x[None, None, :].astype(np.float32), y[None, :, None].astype(np.float32)


def render(
    trajectory: Trajectory, size: int | None = None, width: int = 64, height: int = 64
) -> NDArray[np.uint8]:
    """Draw a trajectory.

    Args:
        trajectory: What to draw.
        size: Width and height in pixels of a square picture; goes before the other two.
        width: Pixels. A picture that is not square shows the same square world in its middle,
            with more wall and table around it.
        height: Pixels.

    Returns:
        Frames of shape (T, height, width, 3), uint8 RGB.
    """
    if size is not None:
        width = height = size
    scene = trajectory.scene
    palette = PALETTES[scene.palette]
    canvas = _background(len(trajectory.times), width, height, palette)
    _draw_fixtures(canvas, scene, palette)
    if trajectory.level is not None:
        _draw_tank(canvas, trajectory)
    for link in scene.links:
        _draw_link(canvas, trajectory.track(link.thing), link, palette)
    for track in trajectory.tracks:
        _draw_thing(canvas, track, scene, palette)
    if trajectory.pour is not None:
        _draw_pour(canvas, trajectory, palette)
    return np.rint(canvas.pixels).astype(np.uint8)


def _background(frames: int, width: int, height: int, palette: Palette) -> _Canvas:
    scale = min(width, height) / EXTENT
    left = EXTENT / 2 - width / scale / 2
    top = EXTENT / 2 + height / scale / 2
    rows = top - (np.arange(height) + 0.5) / scale
    table = np.clip((FLOOR - rows) * scale + 0.5, 0.0, 1.0)[:, None, None]
    image = table * np.array(palette.table) + (1 - table) * np.array(palette.wall)
    picture = np.broadcast_to(image, (height, width, 3)).astype(np.float32)
    return _Canvas(np.repeat(picture[None], frames, axis=0), scale, left, top)


def _paint(
    canvas: _Canvas,
    rows: slice,
    columns: slice,
    inside: NDArray[np.float32],
    colour: NDArray[np.float32],
) -> None:
    """Blend a colour, (3,) or (T, 3), where the signed distance ``inside`` (units) is positive."""
    cover = np.clip(inside * np.float32(canvas.scale) + np.float32(0.5), 0.0, 1.0)[..., None]
    part = canvas.pixels[:, rows, columns]
    tint = colour[:, None, None, :] if colour.ndim == 2 else colour
    part += cover * (tint - part)


def _colour(rgb: Sequence[int]) -> NDArray[np.float32]:
    return np.array(rgb, dtype=np.float32)


def _draw_polygon(
    canvas: _Canvas,
    xs: Floats,
    ys: Floats,
    colour: NDArray[np.float32],
    shown: Floats | None = None,
) -> None:
    """A convex polygon, corners counter-clockwise; xs and ys of shape (T or 1, K)."""
    rows, columns = canvas.box(xs, ys)
    if rows.start == rows.stop or columns.start == columns.stop:
        return
    x, y = canvas.grid(rows, columns)
    inside: NDArray[np.float32] | None = None
    ends_x, ends_y = np.roll(xs, -1, axis=1), np.roll(ys, -1, axis=1)
    for corner in range(xs.shape[1]):
        dx = (ends_x - xs)[:, corner]
        dy = (ends_y - ys)[:, corner]
        length = np.hypot(dx, dy)
        real = length > 1e-6  # a repeated corner is no edge
        nx, ny = -dy / np.where(real, length, 1.0), dx / np.where(real, length, 1.0)
        offset = np.where(real, nx * xs[:, corner] + ny * ys[:, corner], -1e3)
        a, b, c = (v.astype(np.float32)[:, None, None] for v in (nx, ny, offset))
        distance = (a * x - c) + b * y
        inside = distance if inside is None else np.minimum(inside, distance)
    assert inside is not None  # noqa: S101  (a polygon has corners)
    if shown is not None:
        inside = np.where(shown[:, None, None] > 0, inside, np.float32(-1e3))
    _paint(canvas, rows, columns, inside, colour)


def _draw_ball(
    canvas: _Canvas, x: Floats, y: Floats, radius: Floats, colour: NDArray[np.float32]
) -> None:
    largest = radius.max()
    if largest <= 0:
        return
    rows, columns = canvas.box(
        np.array([x.min() - largest, x.max() + largest]),
        np.array([y.min() - largest, y.max() + largest]),
    )
    px, py = canvas.grid(rows, columns)
    cx, cy, r = (v.astype(np.float32)[:, None, None] for v in (x, y, radius))
    _paint(canvas, rows, columns, r - np.sqrt((px - cx) ** 2 + (py - cy) ** 2), colour)


def _draw_thing(canvas: _Canvas, track: Track, scene: Scene, palette: Palette) -> None:
    look = track.thing.look
    colour = _colour(COLOURS.get(look.colour, palette.fixture))
    if scene.violation and track.recoloured.any():
        second = _colour(COLOURS[scene.violation.second_colour])
        colour = np.where(track.recoloured[:, None], second, colour).astype(np.float32)
    shown = track.visible.astype(np.float64)
    if not shown.any():
        return
    if look.shape == "ball":
        radius = track.thing.width / 2 * track.scale * np.where(shown > 0, 1.0, -10.0)
        _draw_ball(canvas, track.x, track.y, radius, colour)
        return
    corners = np.array(outline(track.thing)).T
    cos, sin = np.cos(track.angle), np.sin(track.angle)
    local_x = track.scale[:, None] * corners[0]
    local_y = track.scale[:, None] * corners[1]
    xs = track.x[:, None] + cos[:, None] * local_x - sin[:, None] * local_y
    ys = track.y[:, None] + sin[:, None] * local_x + cos[:, None] * local_y
    _draw_polygon(canvas, xs, ys, colour, shown)


def _draw_fixtures(canvas: _Canvas, scene: Scene, palette: Palette) -> None:
    for fixture in scene.fixtures:
        corners = np.array(fixture.corners).T
        _draw_polygon(canvas, corners[:1], corners[1:], _colour(palette.fixture))


def _draw_line(
    canvas: _Canvas,
    start: tuple[Floats, Floats],
    end: tuple[Floats, Floats],
    colour: NDArray[np.float32],
    half: float = _EDGE,
    shown: Floats | None = None,
) -> None:
    """A thick line; coordinates of shape (T,) or (1,)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    nx, ny = -dy / length * half, dx / length * half
    xs = np.stack([start[0] - nx, end[0] - nx, end[0] + nx, start[0] + nx], axis=1)
    ys = np.stack([start[1] - ny, end[1] - ny, end[1] + ny, start[1] + ny], axis=1)
    _draw_polygon(canvas, xs, ys, colour, shown)


def _draw_link(canvas: _Canvas, track: Track, link: Link, palette: Palette) -> None:
    if link.kind == "hinge":
        return
    colour, shown = _colour(palette.fixture), track.visible.astype(np.float64)
    anchor_x, anchor_y = np.full_like(track.x, link.x), np.full_like(track.y, link.y)
    if link.kind == "rod":
        _draw_line(canvas, (anchor_x, anchor_y), (track.x, track.y), colour, shown=shown)
        return
    dx, dy = track.x - anchor_x, track.y - anchor_y
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    points = 2 * _COILS
    sides = [0.0, *(_COIL_REACH * (-1) ** index for index in range(points - 1)), 0.0]
    nodes = [
        (
            anchor_x + dx * index / points - dy / length * side,
            anchor_y + dy * index / points + dx / length * side,
        )
        for index, side in enumerate(sides)
    ]
    for start, end in pairwise(nodes):
        _draw_line(canvas, start, end, colour, half=0.5, shown=shown)


def _draw_tank(canvas: _Canvas, trajectory: Trajectory) -> None:
    tank, level = trajectory.scene.tank, trajectory.level
    if tank is None or level is None:
        return
    _draw_box(canvas, tank.left, tank.bottom, tank.right, level, _colour(WATER))


def _draw_box(
    canvas: _Canvas,
    left: float,
    bottom: float,
    right: float,
    top: Floats,
    colour: NDArray[np.float32],
) -> None:
    one = np.ones_like(top)
    xs = np.stack([left * one, right * one, right * one, left * one], axis=1)
    ys = np.stack([bottom * one, bottom * one, top, top], axis=1)
    _draw_polygon(canvas, xs, ys, colour, np.where(top > bottom + 1e-6, 1.0, 0.0))


def _draw_pour(canvas: _Canvas, trajectory: Trajectory, palette: Palette) -> None:
    pour, track = trajectory.scene.pour, trajectory.pour
    if pour is None or track is None:
        return
    colour = _colour(COLOURS[pour.colour])
    if trajectory.scene.violation and track.recoloured.any():
        second = _colour(COLOURS[trajectory.scene.violation.second_colour])
        colour = np.where(track.recoloured[:, None], second, colour).astype(np.float32)
    fixture = _colour(palette.fixture)
    _draw_glass(canvas, pour, track.glass, colour, fixture)
    _draw_stand(canvas, pour, fixture)
    _draw_stream(canvas, trajectory, colour)
    _draw_cup(canvas, trajectory, colour, fixture)


def _flip(pour: Pour, x: Floats) -> Floats:
    return EXTENT - x if pour.mirrored else x


def glass_left(pour: Pour) -> float:
    """Left inner wall of the glass before mirroring: the stream falls near its middle."""
    return pour.lip_x + 1.5 - pour.glass_width / 2


def _draw_glass(
    canvas: _Canvas,
    pour: Pour,
    area: Floats,
    colour: NDArray[np.float32],
    fixture: NDArray[np.float32],
) -> None:
    sides = _flip(pour, np.array([glass_left(pour), glass_left(pour) + pour.glass_width]))
    left, right = float(sides.min()), float(sides.max())
    top = np.array([GLASS_BOTTOM + pour.glass_height])
    _draw_box(canvas, left, GLASS_BOTTOM, right, GLASS_BOTTOM + area / pour.glass_width, colour)
    _draw_box(canvas, left - 1.2, FLOOR, left, top, fixture)
    _draw_box(canvas, right, FLOOR, right + 1.2, top, fixture)
    _draw_box(canvas, left - 1.2, FLOOR, right + 1.2, np.array([GLASS_BOTTOM]), fixture)


def _draw_stand(canvas: _Canvas, pour: Pour, fixture: NDArray[np.float32]) -> None:
    """What holds the cup: a post on the table with an arm to the cup's pivot."""
    post, arm = pour.lip_x - pour.cup_width - 12.0, pour.lip_y
    ends = _flip(pour, np.array([post, pour.lip_x]))
    line = (np.array([ends[0]]), np.array([FLOOR])), (np.array([ends[0]]), np.array([arm]))
    _draw_line(canvas, *line, fixture, half=0.9)
    line = (np.array([ends[0]]), np.array([arm])), (np.array([ends[1]]), np.array([arm]))
    _draw_line(canvas, *line, fixture, half=0.9)


def _draw_stream(canvas: _Canvas, trajectory: Trajectory, colour: NDArray[np.float32]) -> None:
    pour, track = trajectory.scene.pour, trajectory.pour
    if pour is None or track is None or not (track.stream > 0).any():
        return
    sign = 1.0 if track.rises else -1.0
    start = pour.lip_y + sign * fallen(track.age_low)
    end = pour.lip_y + sign * fallen(track.age_high)
    middle = float(_flip(pour, np.array([pour.lip_x + 1.5]))[0])
    rows, columns = canvas.box(np.array([middle - 4, middle + 4]), np.stack([start, end]))
    if rows.start == rows.stop:
        return
    x, y = canvas.grid(rows, columns)
    speed = np.sqrt(EXIT_SPEED**2 + 2 * GRAVITY * np.maximum(sign * (y - pour.lip_y), 0.0))
    low, high = np.minimum(start, end), np.maximum(start, end)
    inside = np.minimum(
        track.flux / speed / 2 - np.abs(x - middle),
        np.minimum(y - low[:, None, None], high[:, None, None] - y),
    ).astype(np.float32)
    inside[track.stream <= 0] = -1e3  # a stream of no length would still blur into half a pixel
    _paint(canvas, rows, columns, inside, colour)


def _draw_cup(
    canvas: _Canvas,
    trajectory: Trajectory,
    colour: NDArray[np.float32],
    fixture: NDArray[np.float32],
) -> None:
    pour, track = trajectory.scene.pour, trajectory.pour
    if pour is None or track is None:
        return
    width, height = pour.cup_width, pour.cup_height
    liquid = [
        _four(cup_liquid(pour, area, tilt))
        for area, tilt in zip(track.cup, track.tilt, strict=True)
    ]
    local = np.array(liquid)
    xs, ys = _place(pour, track.tilt, local[..., 0], local[..., 1])
    _draw_polygon(canvas, xs, ys, colour)
    left, right, bottom = -width - _EDGE, _EDGE, -height - _EDGE  # walls stand outside the liquid
    walls = [(left, 0.0), (left, bottom), (right, bottom), (right, 0.0)]
    corners = np.broadcast_to(np.array(walls), (len(track.tilt), 4, 2))
    xs, ys = _place(pour, track.tilt, corners[..., 0], corners[..., 1], mirror_order=False)
    for index in range(3):
        start, end = (xs[:, index], ys[:, index]), (xs[:, index + 1], ys[:, index + 1])
        _draw_line(canvas, start, end, fixture)


def _four(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The polygon with its last corner repeated up to four corners."""
    return [*corners, *[corners[-1]] * (4 - len(corners))]


def _place(
    pour: Pour, tilt: Floats, x: Floats, y: Floats, *, mirror_order: bool = True
) -> tuple[Floats, Floats]:
    """From the cup's frame to the world: tipped clockwise about the lip, then mirrored."""
    cos, sin = np.cos(tilt)[:, None], np.sin(tilt)[:, None]
    world_x = pour.lip_x + cos * x + sin * y
    world_y = pour.lip_y - sin * x + cos * y
    if pour.mirrored:
        world_x = EXTENT - world_x
        if mirror_order:
            world_x, world_y = world_x[:, ::-1], world_y[:, ::-1]
    return world_x, world_y
