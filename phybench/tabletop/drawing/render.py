"""From a trajectory to pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.drawing.raster import (
    Canvas,
    as_colour,
    blank,
    draw_ball,
    draw_box,
    draw_line,
    draw_polygon,
)
from phybench.tabletop.drawing.render_pour import draw_pour
from phybench.tabletop.world.scene import COLOURS, PALETTES, WATER, Link, Palette, Scene, Tank
from phybench.tabletop.world.simulate import ThingTrack, Trajectory
from phybench.tabletop.world.world import outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phybench.tabletop.drawing.raster import Colour, Floats

_COILS = 7
_COIL_REACH = 3.0
_WIRE = 0.5
"""Half the width of a spring's wire in units."""


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
    canvas = blank(len(trajectory.times), width, height, palette)
    _draw_fixtures(canvas, scene, palette)
    if scene.tank and trajectory.level is not None:
        _draw_water(canvas, scene.tank, trajectory.level)
    for link in scene.links:
        _draw_link(canvas, trajectory.track(link.thing), link, palette)
    for track in trajectory.tracks:
        _draw_thing(canvas, track, scene, palette)
    if scene.pour and trajectory.pour:
        liquid = _changing(as_colour(COLOURS[scene.pour.colour]), trajectory.pour.recoloured, scene)
        draw_pour(canvas, scene.pour, trajectory.pour, liquid, as_colour(palette.fixture))
    return np.rint(canvas.pixels).astype(np.uint8)


def _draw_thing(canvas: Canvas, track: ThingTrack, scene: Scene, palette: Palette) -> None:
    look = track.thing.look
    colour = as_colour(COLOURS.get(look.colour, palette.fixture))
    colour = _changing(colour, track.recoloured, scene)
    shown = track.visible.astype(np.float64)
    if not shown.any():
        return
    if look.shape == "ball":
        radius = track.thing.width / 2 * track.scale * np.where(shown > 0, 1.0, -10.0)
        draw_ball(canvas, track.x, track.y, radius, colour)
        return
    corners = np.array(outline(track.thing)).T
    cos, sin = np.cos(track.angle), np.sin(track.angle)
    local_x = track.scale[:, None] * corners[0]
    local_y = track.scale[:, None] * corners[1]
    xs = track.x[:, None] + cos[:, None] * local_x - sin[:, None] * local_y
    ys = track.y[:, None] + sin[:, None] * local_x + cos[:, None] * local_y
    draw_polygon(canvas, xs, ys, colour, shown)


def _changing(colour: Colour, recoloured: NDArray[np.bool_], scene: Scene) -> Colour:
    """The colour in every frame, where a violation changes it."""
    if not scene.violation or not recoloured.any():
        return colour
    second = as_colour(COLOURS[scene.violation.second_colour])
    return np.where(recoloured[:, None], second, colour).astype(np.float32)


def _draw_fixtures(canvas: Canvas, scene: Scene, palette: Palette) -> None:
    for fixture in scene.fixtures:
        corners = np.array(fixture.corners).T
        draw_polygon(canvas, corners[:1], corners[1:], as_colour(palette.fixture))


def _draw_link(canvas: Canvas, track: ThingTrack, link: Link, palette: Palette) -> None:
    if link.kind == "hinge":
        return
    colour, shown = as_colour(palette.fixture), track.visible.astype(np.float64)
    anchor_x, anchor_y = np.full_like(track.x, link.x), np.full_like(track.y, link.y)
    if link.kind == "rod":
        draw_line(canvas, (anchor_x, anchor_y), (track.x, track.y), colour, shown=shown)
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
        draw_line(canvas, start, end, colour, half=_WIRE, shown=shown)


def _draw_water(canvas: Canvas, tank: Tank, level: Floats) -> None:
    draw_box(canvas, tank.left, tank.bottom, tank.right, level, as_colour(WATER))
