"""From frames to blobs: still background, foreground masks, flat colours, connected pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from phybench.judges.kinematics.thresholds import Thresholds

Floats = NDArray[np.float32]
Labels = NDArray[np.int16]
LINE, SPECK = -1, -2
"""Colours of blobs that are no things: thin structures, and pieces too small to tell."""
_ALL, _HEAD, _TAIL = slice(None), slice(None, -1), slice(1, None)
_STEPS = (
    ((_ALL, _ALL, _HEAD), (_ALL, _ALL, _TAIL)),
    ((_ALL, _HEAD, _ALL), (_ALL, _TAIL, _ALL)),
    ((_ALL, _HEAD, _HEAD), (_ALL, _TAIL, _TAIL)),
    ((_ALL, _HEAD, _TAIL), (_ALL, _TAIL, _HEAD)),
)
"""A pixel and its neighbour to the right, below, and below to either side, in (T, H, W)."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What stands still behind the things.

    Args:
        picture: (H, W, 3) float32, the scene with every thing taken away, 0..255.
        plates: (H, W) int16, id of the large flat area (wall, table) that each pixel belongs to.
        guessed: (H, W) where no plate is seen, so that the nearest one's colour and id stand in.
        noise: Standard deviation of a pixel's value between frames.
        texture: Standard deviation of neighbouring pixels of one plate.
    """

    picture: Floats
    plates: Labels
    guessed: NDArray[np.bool_]
    noise: float
    texture: float


@dataclass(frozen=True, slots=True)
class Blobs:
    """Connected pieces of one colour, over all frames; arrays have one entry per blob.

    Args:
        frame: Frame index.
        colour: Index into ``palette``, or :data:`LINE` or :data:`SPECK`.
        area: Covered area in px^2, rim pixels counted by the share that is covered.
        pixels: Number of pixels.
        x, y: Centre of the covered area in pixels.
        left, top, right, bottom: Bounding box, inclusive pixels.
        xx, yy, xy: Second central moments in px^2.
        palette: (K, 3) float32 colours.
        labels: (T, H, W) int32, blob index + 1 per pixel, 0 for background.
        share: (T, H, W) share of each pixel that is covered.
    """

    frame: NDArray[np.intp]
    colour: NDArray[np.intp]
    area: NDArray[np.float64]
    pixels: NDArray[np.intp]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    left: NDArray[np.intp]
    top: NDArray[np.intp]
    right: NDArray[np.intp]
    bottom: NDArray[np.intp]
    xx: NDArray[np.float64]
    yy: NDArray[np.float64]
    xy: NDArray[np.float64]
    palette: Floats
    labels: NDArray[np.int32]
    share: Floats


# ------------------------------------------------------------------------------------- frames


def strongest(differences: Floats) -> Floats:
    """Largest absolute value over the three channels, the last axis."""
    size = np.abs(differences)
    out: Floats = np.maximum(np.maximum(size[..., 0], size[..., 1]), size[..., 2])
    return out


def shrink(frames: NDArray[np.uint8], shortest: int) -> Floats:
    """Average the picture down to ``shortest`` pixels on its short side; smaller ones stay.

    All thresholds in pixels then mean the same share of the picture.
    """
    out: Floats = frames.astype(np.float32)
    count, height, width, _ = frames.shape
    side = min(height, width)
    if side <= shortest:
        return out
    rows = _averages(height, round(height * shortest / side))
    columns = _averages(width, round(width * shortest / side))
    out = np.matmul(rows, out.reshape(count, height, width * 3)).reshape(count, -1, width, 3)
    return np.ascontiguousarray(np.einsum("thwc,vw->thvc", out, columns, optimize=True))


def _averages(before: int, after: int) -> Floats:
    """(after, before) weights that average pixels by the length that they overlap."""
    edges = np.linspace(0, before, after + 1)
    cells = np.arange(before)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights: Floats = (np.clip(overlap, 0, None) * after / before).astype(np.float32)
    return weights


def pixel_noise(frames: Floats) -> float:
    """Standard deviation of pixel noise, from the middle of the frame-to-frame differences.

    Most pixels show the still background in both frames, so the median absolute difference is
    0.6745 sqrt(2) sigma for Gaussian noise whatever moves elsewhere.
    """
    steps = np.abs(np.diff(frames[:, ::2, ::2, 1], axis=0))
    return float(np.median(steps) / (0.6745 * np.sqrt(2)))


# --------------------------------------------------------------------------------- background


def air_colour(backdrop: Backdrop) -> Floats:
    """(3,) colour of the largest plate."""
    largest = (
        int(np.bincount(backdrop.plates.ravel())[1:].argmax()) + 1 if backdrop.plates.any() else 0
    )
    middle: Floats = np.median(backdrop.picture[backdrop.plates == largest], axis=0)
    return middle


def find_backdrop(frames: Floats, limits: Thresholds) -> Backdrop:
    """The still scene without things: flat areas that reach the frame's edge, filled in."""
    noise = pixel_noise(frames)
    middle = np.median(frames, axis=0)
    steps = np.maximum(_step(middle, 0), _step(middle, 1))
    texture = float(np.median(steps) / 0.954)  # median |difference| of two normal values
    smooth = steps < max(limits.edge_step, limits.edge_noises * texture)
    plates = _plates(smooth, limits)
    guessed = plates == 0
    filled, plates = _fill(middle, plates)
    thin = _thin(strongest(middle - filled) > limits.thing_step)
    thin[thin] = _steady(frames[:, thin], middle[thin], limits)
    filled[thin] = middle[thin]
    return Backdrop(filled, plates, guessed, noise, texture)


def _steady(values: Floats, middle: Floats, limits: Thresholds) -> NDArray[np.bool_]:
    """(N,) which pixels (T, N, 3) keep their middle colour (N, 3) nearly all the time."""
    moved = strongest(values - middle) > limits.thing_step
    steady: NDArray[np.bool_] = moved.mean(axis=0) < limits.fixture_covered
    return steady


def _thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of a mask is nowhere three pixels wide: lines between plates, still strings."""
    thick = ndimage.binary_opening(mask, np.ones((3, 3), dtype=bool))
    # Two pixels around a thick thing are its own rim, not a line.
    thin: NDArray[np.bool_] = mask & ~ndimage.binary_dilation(thick, np.ones((5, 5), dtype=bool))
    return thin


def _step(picture: Floats, axis: int) -> Floats:
    """Largest colour difference of each pixel to its two neighbours along an axis."""
    steps = strongest(np.diff(picture, axis=axis))
    before = [(0, 0), (0, 0)]
    before[axis] = (0, 1)
    after = [(0, 0), (0, 0)]
    after[axis] = (1, 0)
    out: Floats = np.maximum(np.pad(steps, before), np.pad(steps, after))
    return out


def _plates(smooth: NDArray[np.bool_], limits: Thresholds) -> Labels:
    """Number the smooth areas that run along enough of the frame's edge."""
    regions, count = ndimage.label(smooth)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    along = np.bincount(edge, minlength=count + 1)
    area = np.bincount(regions.ravel(), minlength=count + 1)
    keep = (along >= limits.plate_edge * min(smooth.shape)) & (
        area >= limits.plate_area * smooth.size
    )
    keep[0] = False
    ids = np.zeros(count + 1, dtype=np.int16)
    ids[keep] = np.arange(1, keep.sum() + 1)
    plates: Labels = ids[regions]
    return plates


def _fill(picture: Floats, plates: Labels) -> tuple[Floats, Labels]:
    """Give what is no plate the colour and id of the nearest one, sideways before up or down."""
    hole = plates == 0
    if not hole.any() or hole.all():
        return picture.astype(np.float32), plates
    where = ndimage.distance_transform_edt(
        hole, sampling=(64, 1), return_distances=False, return_indices=True
    )
    return picture[where[0], where[1]].astype(np.float32), plates[where[0], where[1]]


# ------------------------------------------------------------------------------------- things


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
    at = np.nonzero(inner)
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
    frame, y, x = np.nonzero(mask & (labels == 0))
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
    frame, y, x = np.nonzero(mask & (labels == 0) & (best > 0))
    label = best[frame, y, x]
    behind = backdrop.picture[y, x]
    span, pixel = palette[label - 1] - behind, frames[frame, y, x] - behind
    share = (pixel * span).sum(axis=1) / np.maximum((span * span).sum(axis=1), 1)
    off = np.linalg.norm(pixel - np.clip(share, 0, 1)[:, None] * span, axis=1)
    fits = off < step
    labels[frame[fits], y[fits], x[fits]] = label[fits]


def coverage(
    frames: Floats, labels: NDArray[np.int8], palette: Floats, backdrop: Backdrop
) -> Floats:
    """(T, H, W) share of each labelled pixel that its thing covers: rim pixels are mixtures.

    Weighing pixels by it gives centres to about a twentieth of a pixel where counting them gives
    half a pixel.
    """
    share = (labels != 0).astype(np.float32)
    frame, y, x = np.nonzero(labels > 0)
    behind = backdrop.picture[y, x]
    span = palette[labels[frame, y, x] - 1] - behind
    along = ((frames[frame, y, x] - behind) * span).sum(axis=1)
    share[frame, y, x] = np.clip(along / np.maximum((span * span).sum(axis=1), 1), 0.05, 1)
    return share


def find_blobs(
    labels: NDArray[np.int8], palette: Floats, share: Floats, limits: Thresholds
) -> Blobs:
    """Connected pieces of each palette colour in each frame.

    Args:
        labels: (T, H, W) palette index + 1 of each pixel, -1 for lines, 0 for background.
        palette: (K, 3) colours.
        share: (T, H, W) of each pixel that is covered.
        limits: Thresholds.
    """
    volume, colour = _connected(labels)
    return _measure(volume, colour, palette, share, limits)


def _connected(labels: NDArray[np.int8]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the pieces of equal label in each frame; (T, H, W) from 1, and each piece's colour.

    One graph over all labelled pixels is several times faster than labelling colour by colour.
    """
    at = labels != 0
    node = np.zeros(labels.shape, dtype=np.int32)
    count = int(at.sum())
    node[at] = np.arange(count, dtype=np.int32)
    starts, ends = [], []
    for here, there in _STEPS:
        equal = (labels[here] == labels[there]) & at[here]
        starts.append(node[here][equal])
        ends.append(node[there][equal])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = sparse.coo_matrix((np.ones(len(start), dtype=np.int8), (start, end)), (count, count))
    pieces, piece = sparse.csgraph.connected_components(graph, directed=False)
    volume = np.zeros(labels.shape, dtype=np.int32)
    volume[at] = piece + 1
    colour = np.zeros(pieces, dtype=np.intp)
    colour[piece] = np.where(labels[at] > 0, labels[at] - 1, LINE)
    return volume, colour


def _measure(
    volume: NDArray[np.int32],
    colour: NDArray[np.intp],
    palette: Floats,
    share: Floats,
    limits: Thresholds,
) -> Blobs:
    """Sizes and moments of the pieces, small ones dropped."""
    pixels = np.bincount(volume.ravel(), minlength=len(colour) + 1)[1:]
    keep = pixels >= limits.min_area
    renumber = np.concatenate([[0], np.where(keep, np.cumsum(keep), 0)])
    volume = renumber[volume].astype(np.int32)
    colour = colour[keep]
    frame, y, x = np.nonzero(volume)
    ids = volume[frame, y, x] - 1
    count, weight = len(colour), share[frame, y, x].astype(np.float64)
    total = np.bincount(ids, weight, count)
    mean_x: NDArray[np.float64] = np.bincount(ids, weight * x, count) / total
    mean_y = np.bincount(ids, weight * y, count) / total
    dx, dy = x - mean_x[ids], y - mean_y[ids]
    first = np.zeros(count, dtype=np.intp)
    first[ids] = frame
    left, top, right, bottom = _boxes(ids, x, y, count)
    return Blobs(
        frame=first,
        colour=colour,
        area=total,
        pixels=pixels[keep],
        x=mean_x,
        y=mean_y,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        xx=np.bincount(ids, weight * dx * dx, count) / total,
        yy=np.bincount(ids, weight * dy * dy, count) / total,
        xy=np.bincount(ids, weight * dx * dy, count) / total,
        palette=palette,
        labels=volume,
        share=share,
    )


def _boxes(
    ids: NDArray[np.intp], x: NDArray[np.intp], y: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Left, top, right and bottom of each piece."""
    most = np.iinfo(np.intp).max
    left, top = np.full(count, most), np.full(count, most)
    right, bottom = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    np.minimum.at(left, ids, x)
    np.minimum.at(top, ids, y)
    np.maximum.at(right, ids, x)
    np.maximum.at(bottom, ids, y)
    return left, top, right, bottom
