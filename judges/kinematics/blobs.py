"""Blobs: connected pieces of one colour, with sub-pixel centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from phybench.judges.kinematics.backdrop import Backdrop, Floats
from phybench.judges.kinematics.thresholds import Thresholds

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
    out: Floats = share
    return out


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
    total = np.bincount(ids, weight, count).astype(np.float64)
    mean_x: NDArray[np.float64] = np.bincount(ids, weight * x, count) / total
    mean_y = np.bincount(ids, weight * y, count) / total
    dx, dy = x - mean_x[ids], y - mean_y[ids]
    first = np.zeros(count, dtype=np.intp)
    first[ids] = frame
    left, top, right, bottom = _boxes(ids.astype(np.intp), x, y, count)
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
