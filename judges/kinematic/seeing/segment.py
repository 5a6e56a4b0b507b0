"""Which pixels belong to things, and to things of which colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..thresholds import Thresholds
from .backdrop import Backdrop, Floats, strongest
from .pixels import positions


def foreground(frames: Floats, backdrop: Backdrop, limits: Thresholds) -> NDArray[np.bool_]:
    """(T, H, W) mask of pixels that differ from the backdrop, single pixels removed."""
    step = max(limits.thing_step, limits.thing_noises * backdrop.noise)
    mask = strongest(frames - backdrop.picture) > step
    rows = mask.astype(np.int8)
    rows[:, 1:] += mask[:, :-1]
    rows[:, :-1] += mask[:, 1:]
    around = rows.copy()
    around[:, :, 1:] += rows[:, :, :-1]
    around[:, :, :-1] += rows[:, :, 1:]
    cleaned: NDArray[np.bool_] = mask & (around >= 3)  # the pixel itself and two of eight
    return cleaned


def neighbours(mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """How many of the four neighbours in the same frame are set."""
    count = np.zeros(mask.shape, dtype=np.int8)
    count[:, 1:] += mask[:, :-1]
    count[:, :-1] += mask[:, 1:]
    count[:, :, 1:] += mask[:, :, :-1]
    count[:, :, :-1] += mask[:, :, 1:]
    return count


def find_palette(frames: Floats, inner: NDArray[np.bool_], limits: Thresholds) -> Floats:
    """(K, 3) colours of the things, most frequent first.

    Flat places show a thing's own colour, so few of them suffice; pixels beside an edge are
    mixtures, so what is not flat (dominoes, streams) must be more frequent to count.
    """
    at = positions(inner)
    flat = _is_flat(frames, at, limits)
    colours = frames[at]
    palette = _dominant(colours[flat], [], limits.flat_share * len(colours), limits)
    palette = _dominant(colours, palette, limits.colour_share * len(colours), limits)
    return np.array(palette, dtype=np.float32).reshape(-1, 3)


def _is_flat(
    frames: Floats, at: tuple[NDArray[np.intp], ...], limits: Thresholds
) -> NDArray[np.bool_]:
    """(N,) whether inner pixels differ little from their four neighbours."""
    frame, y, x = at
    _, height, width, _ = frames.shape
    here = frames[frame, y, x]
    flat = np.ones(len(frame), dtype=bool)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        there = frames[frame, np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        flat &= strongest(there - here) < limits.flat_step
    return flat


def _dominant(
    colours: Floats, known: list[Floats], least: float, limits: Thresholds
) -> list[Floats]:
    """Known colours and further ones that at least so many of (N, 3) pixels have.

    Pixels are counted in cells of 16 levels; the fullest cell's neighbourhood gives a colour, its
    pixels are taken away, and so on.
    """
    palette, left, least = list(known), colours, max(least, limits.min_area)
    for colour in palette:
        left = left[((left - colour) ** 2).sum(axis=1) >= limits.same_colour**2]
    while len(left) > least and len(palette) < limits.max_colours:
        cells = (left // 16).astype(np.int32) @ np.array([256, 16, 1], dtype=np.int32)
        seed = left[cells == int(np.bincount(cells).argmax())].mean(axis=0)
        near = ((left - seed) ** 2).sum(axis=1) < limits.same_colour**2
        if near.sum() >= least:
            palette.append(left[near].mean(axis=0))
        left = left[~near]
    return palette


def colour_labels(
    frames: Floats, mask: NDArray[np.bool_], backdrop: Backdrop, limits: Thresholds
) -> tuple[NDArray[np.int8], Floats]:
    """Give each foreground pixel the palette colour (1..K) of the thing that it belongs to.

    Only inner pixels define the palette, as edge pixels are mixtures. The pixels beside a thing's
    inner ones are its rim, and so are those beside them that are mixtures of its colour and the
    backdrop's. What is left takes the nearest palette colour or, if none is near, is a line.
    """
    inner = mask & (neighbours(mask) == 4)
    palette = find_palette(frames, inner, limits)
    labels = np.zeros(mask.shape, dtype=np.int8)
    if not len(palette):
        labels[mask] = -1
        return labels, palette
    labels[inner] = _nearest_colour(frames[inner], palette, limits)
    _spread(labels, frames, mask, palette, backdrop, np.inf)
    _spread(labels, frames, mask, palette, backdrop, limits.rim_step)
    rest = mask & (labels == 0)
    labels[rest] = _nearest_colour(frames[rest], palette, limits)
    _tint(labels, frames, mask, palette, backdrop, limits)
    labels[mask & (labels == 0)] = -1
    return labels, palette


def _nearest_colour(pixels: Floats, palette: Floats, limits: Thresholds) -> NDArray[np.int8]:
    """Palette index + 1 of each pixel, 0 where none is near."""
    away = ((pixels[:, None, :] - palette[None]) ** 2).sum(axis=2)
    nearest = away.argmin(axis=1)
    sure = away[np.arange(len(pixels)), nearest] < limits.same_colour**2
    return np.where(sure, nearest + 1, 0).astype(np.int8)


def _tint(
    labels: NDArray[np.int8],
    frames: Floats,
    mask: NDArray[np.bool_],
    palette: Floats,
    backdrop: Backdrop,
    limits: Thresholds,
) -> None:
    """Give thin mixtures of the backdrop and a bright colour (streams) that colour, in place."""
    frame, y, x = positions(mask & (labels == 0))
    behind = backdrop.picture[y, x]
    pixel = frames[frame, y, x] - behind
    chroma = np.ptp(frames[frame, y, x], axis=1)
    nearest = np.full(len(frame), limits.tint_step, dtype=np.float32)
    found = np.zeros(len(frame), dtype=np.int8)
    for index in np.flatnonzero(np.ptp(palette, axis=1) > limits.line_chroma):
        span = palette[index] - behind
        share = (pixel * span).sum(axis=1) / np.maximum((span * span).sum(axis=1), 1)
        off = np.linalg.norm(pixel - share[:, None] * span, axis=1)
        # A mixture keeps its share of the chroma; a grey wall that lies near the line has none.
        bright = chroma > limits.tint_chroma * share * np.ptp(palette[index])
        better = (off < nearest) & (share > limits.tint_share) & (share < 1.1) & bright
        nearest[better], found[better] = off[better], index + 1
    labels[frame, y, x] = found


def _spread(
    labels: NDArray[np.int8],
    frames: Floats,
    mask: NDArray[np.bool_],
    palette: Floats,
    backdrop: Backdrop,
    step: float,
) -> None:
    """Let unlabelled mixtures of backdrop and a neighbour's colour join the neighbour, in place.

    A mixture is not further than ``step`` from the line between the two colours.
    """
    before = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
    best = np.maximum.reduce(
        [before[:, :-2, 1:-1], before[:, 2:, 1:-1], before[:, 1:-1, :-2], before[:, 1:-1, 2:]]
    )
    frame, y, x = positions(mask & (labels == 0) & (best > 0))
    label = best[frame, y, x]
    behind = backdrop.picture[y, x]
    span, pixel = palette[label - 1] - behind, frames[frame, y, x] - behind
    share = (pixel * span).sum(axis=1) / np.maximum((span * span).sum(axis=1), 1)
    off = np.linalg.norm(pixel - np.clip(share, 0, 1)[:, None] * span, axis=1)
    fits = off < step
    labels[frame[fits], y[fits], x[fits]] = label[fits]
