"""Drawing anti-aliased convex shapes by their signed distance, in NumPy, all frames at once.

Each shape costs as much as the box that it ever visits is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.world.scene import EXTENT, FLOOR, Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Colour = NDArray[np.float32]
    Grid = NDArray[np.float32]

LINE = 0.6
"""Half the width of lines in units."""
_FAR_OUTSIDE = np.float32(-1e3)


@dataclass(frozen=True, slots=True)
class Canvas:
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

    def grid(self, rows: slice, columns: slice) -> tuple[Grid, Grid]:
        """World coordinates of the pixels' centres: x of shape (1, 1, w), y of shape (1, h, 1)."""
        x = (
            self.left
            + (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / self.scale
        )
        y = self.top - (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / self.scale
        return x[None, None, :].astype(np.float32), y[None, :, None].astype(np.float32)


def blank(frames: int, width: int, height: int, palette: Palette) -> Canvas:
    """A canvas that shows the wall and the table only."""
    scale = min(width, height) / EXTENT
    left = EXTENT / 2 - width / scale / 2
    top = EXTENT / 2 + height / scale / 2
    rows = top - (np.arange(height) + 0.5) / scale
    table = np.clip((FLOOR - rows) * scale + 0.5, 0.0, 1.0)[:, None, None]
    image = table * np.array(palette.table) + (1 - table) * np.array(palette.wall)
    picture = np.broadcast_to(image, (height, width, 3)).astype(np.float32)
    return Canvas(np.repeat(picture[None], frames, axis=0), scale, left, top)


def paint(
    canvas: Canvas,
    rows: slice,
    columns: slice,
    inside: Grid,
    colour: Colour,
) -> None:
    """Blend a colour, (3,) or (T, 3), where the signed distance ``inside`` (units) is positive."""
    cover = np.clip(inside * np.float32(canvas.scale) + np.float32(0.5), 0.0, 1.0)[..., None]
    part = canvas.pixels[:, rows, columns]
    tint = colour[:, None, None, :] if colour.ndim == 2 else colour
    part += cover * (tint - part)


def as_colour(rgb: Sequence[int]) -> Colour:
    """An RGB triple as an array."""
    return np.array(rgb, dtype=np.float32)


def draw_polygon(
    canvas: Canvas, xs: Floats, ys: Floats, colour: Colour, shown: Floats | None = None
) -> None:
    """A convex polygon.

    Args:
        canvas: Where to draw.
        xs: Corners, counter-clockwise, of shape (T or 1, K); a repeated corner is no edge.
        ys: Likewise.
        colour: Of shape (3,) or (T, 3).
        shown: Of shape (T,), above 0 where it is there; always if not given.
    """
    rows, columns = canvas.box(xs, ys)
    if rows.start == rows.stop or columns.start == columns.stop:
        return
    x, y = canvas.grid(rows, columns)
    ends_x, ends_y = np.roll(xs, -1, axis=1), np.roll(ys, -1, axis=1)
    edges = (
        _inside_edge(xs[:, k], ys[:, k], ends_x[:, k], ends_y[:, k], x, y)
        for k in range(xs.shape[1])
    )
    inside = reduce(np.minimum, edges)
    if shown is not None:
        inside = np.where(shown[:, None, None] > 0, inside, _FAR_OUTSIDE)
    paint(canvas, rows, columns, inside, colour)


def _inside_edge(
    from_x: Floats, from_y: Floats, to_x: Floats, to_y: Floats, x: Grid, y: Grid
) -> Grid:
    """Signed distance of points to the left of a line, shape (T or 1, h, w)."""
    dx, dy = to_x - from_x, to_y - from_y
    length = np.hypot(dx, dy)
    real = length > 1e-6
    nx, ny = -dy / np.where(real, length, 1.0), dx / np.where(real, length, 1.0)
    offset = np.where(real, nx * from_x + ny * from_y, _FAR_OUTSIDE)
    a, b, c = (v.astype(np.float32)[:, None, None] for v in (nx, ny, offset))
    distance: Grid = (a * x - c) + b * y
    return distance


def draw_ball(canvas: Canvas, x: Floats, y: Floats, radius: Floats, colour: Colour) -> None:
    """A disc; coordinates of shape (T,), invisible where its radius is negative."""
    largest = radius.max()
    if largest <= 0:
        return
    rows, columns = canvas.box(
        np.array([x.min() - largest, x.max() + largest]),
        np.array([y.min() - largest, y.max() + largest]),
    )
    px, py = canvas.grid(rows, columns)
    cx, cy, r = (v.astype(np.float32)[:, None, None] for v in (x, y, radius))
    paint(canvas, rows, columns, r - np.sqrt((px - cx) ** 2 + (py - cy) ** 2), colour)


def draw_line(
    canvas: Canvas,
    start: tuple[Floats, Floats],
    end: tuple[Floats, Floats],
    colour: Colour,
    half: float = LINE,
    shown: Floats | None = None,
) -> None:
    """A line of the given half width; coordinates of shape (T,) or (1,)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    nx, ny = -dy / length * half, dx / length * half
    xs = np.stack([start[0] - nx, end[0] - nx, end[0] + nx, start[0] + nx], axis=1)
    ys = np.stack([start[1] - ny, end[1] - ny, end[1] + ny, start[1] + ny], axis=1)
    draw_polygon(canvas, xs, ys, colour, shown)


def draw_box(
    canvas: Canvas,
    left: float,
    bottom: float,
    right: float,
    top: Floats,
    colour: Colour,
) -> None:
    """An upright rectangle; its top, of shape (T,) or (1,), may move. Nothing if it is flat."""
    one = np.ones_like(top)
    xs = np.stack([left * one, right * one, right * one, left * one], axis=1)
    ys = np.stack([bottom * one, bottom * one, top, top], axis=1)
    draw_polygon(canvas, xs, ys, colour, np.where(top > bottom + 1e-6, 1.0, 0.0))
