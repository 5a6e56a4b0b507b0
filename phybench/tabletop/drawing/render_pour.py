"""Drawing a pour: cup, stream, glass and what holds the cup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.drawing.raster import LINE, Canvas, draw_box, draw_line, draw_polygon, paint
from phybench.tabletop.world.fluids import EXIT_SPEED, GLASS_BOTTOM, PourTrack, cup_liquid, fallen
from phybench.tabletop.world.scene import EXTENT, FLOOR, GRAVITY, Pour

if TYPE_CHECKING:
    from phybench.tabletop.drawing.raster import Colour, Floats

_WALL = 1.2
"""Thickness of the glass's walls in units."""


def draw_pour(
    canvas: Canvas, pour: Pour, track: PourTrack, colour: Colour, fixture: Colour
) -> None:
    """Everything of a pour.

    Args:
        canvas: Where to draw.
        pour: The vessels.
        track: Where the liquid is.
        colour: Of the liquid, (3,) or (T, 3).
        fixture: Colour of the vessels.
    """
    _draw_glass(canvas, pour, track.glass, colour, fixture)
    _draw_stand(canvas, pour, fixture)
    _draw_stream(canvas, pour, track, colour)
    _draw_cup(canvas, pour, track, colour, fixture)


def _flip(pour: Pour, x: Floats) -> Floats:
    return EXTENT - x if pour.mirrored else x


def _glass_left(pour: Pour) -> float:
    """Left inner wall of the glass before mirroring: the stream falls near its middle."""
    return pour.lip_x + 1.5 - pour.glass_width / 2


def _draw_glass(
    canvas: Canvas,
    pour: Pour,
    area: Floats,
    colour: Colour,
    fixture: Colour,
) -> None:
    sides = _flip(pour, np.array([_glass_left(pour), _glass_left(pour) + pour.glass_width]))
    left, right = float(sides.min()), float(sides.max())
    top = np.array([GLASS_BOTTOM + pour.glass_height])
    draw_box(canvas, left, GLASS_BOTTOM, right, GLASS_BOTTOM + area / pour.glass_width, colour)
    draw_box(canvas, left - _WALL, FLOOR, left, top, fixture)
    draw_box(canvas, right, FLOOR, right + _WALL, top, fixture)
    draw_box(canvas, left - _WALL, FLOOR, right + _WALL, np.array([GLASS_BOTTOM]), fixture)


def _draw_stand(canvas: Canvas, pour: Pour, fixture: Colour) -> None:
    """What holds the cup: a post on the table with an arm to the cup's pivot."""
    post, arm = pour.lip_x - pour.cup_width - 12.0, pour.lip_y
    ends = _flip(pour, np.array([post, pour.lip_x]))
    line = (np.array([ends[0]]), np.array([FLOOR])), (np.array([ends[0]]), np.array([arm]))
    draw_line(canvas, *line, fixture, half=0.9)
    line = (np.array([ends[0]]), np.array([arm])), (np.array([ends[1]]), np.array([arm]))
    draw_line(canvas, *line, fixture, half=0.9)


def _draw_stream(canvas: Canvas, pour: Pour, track: PourTrack, colour: Colour) -> None:
    if not (track.stream > 0).any():
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
    paint(canvas, rows, columns, inside, colour)


def _draw_cup(
    canvas: Canvas, pour: Pour, track: PourTrack, colour: Colour, fixture: Colour
) -> None:
    width, height = pour.cup_width, pour.cup_height
    liquid = [
        _four(cup_liquid(pour, area, tilt))
        for area, tilt in zip(track.cup, track.tilt, strict=True)
    ]
    local = np.array(liquid)
    xs, ys = _place(pour, track.tilt, local[..., 0], local[..., 1])
    draw_polygon(canvas, xs, ys, colour)
    left, right, bottom = -width - LINE, LINE, -height - LINE  # walls stand outside the liquid
    walls = [(left, 0.0), (left, bottom), (right, bottom), (right, 0.0)]
    corners = np.broadcast_to(np.array(walls), (len(track.tilt), 4, 2))
    xs, ys = _place(pour, track.tilt, corners[..., 0], corners[..., 1], mirror_order=False)
    for index in range(3):
        start, end = (xs[:, index], ys[:, index]), (xs[:, index + 1], ys[:, index + 1])
        draw_line(canvas, start, end, fixture)


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
