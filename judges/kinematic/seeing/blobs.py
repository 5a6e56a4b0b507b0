"""Blobs: connected pieces of one colour, with sub-pixel centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..thresholds import Thresholds
from .backdrop import Backdrop, Floats
from .pixels import Positions, positions

LINE, SPECK = -1, -2
"""Colours of blobs that are no things: thin structures, and pieces too small to tell."""


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
        at: Frame, row and column of each pixel of a blob, in this order.
        owner: Blob of each of these pixels.
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
    at: Positions
    owner: NDArray[np.intp]


def coverage(
    frames: Floats, labels: NDArray[np.int8], palette: Floats, backdrop: Backdrop
) -> Floats:
    """(T, H, W) share of each labelled pixel that its thing covers: rim pixels are mixtures.

    Weighing pixels by it gives centres to about a twentieth of a pixel where counting them gives
    half a pixel.
    """
    share = (labels != 0).astype(np.float32)
    at = positions(labels > 0)
    behind = backdrop.picture[at[1], at[2]]
    span = palette[labels[at] - 1] - behind
    along = ((frames[at] - behind) * span).sum(axis=1)
    share[at] = np.clip(along / np.maximum((span * span).sum(axis=1), 1), 0.05, 1)
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

    Runs of equal label in a row are the nodes of one graph over all frames and labels: several
    times faster than labelling colour by colour. Runs that touch in neighbouring rows do so at
    the first pixel of one of them, so only first pixels are compared.
    """
    frames, height, width = labels.shape
    padded = np.zeros((frames, height + 2, width + 2), dtype=np.int8)
    padded[:, 1:-1, 1:-1] = labels
    flat, row = padded.ravel(), width + 2
    at = np.flatnonzero(flat)
    label = flat[at]
    first = flat[at - 1] != label
    run_at = np.cumsum(first, dtype=np.int32) - 1
    run = np.empty(flat.size, dtype=np.int32)
    run[at] = run_at
    here, own = at[first], label[first]
    near = here + np.array([[step] for step in (row - 1, row, row + 1, 1 - row, -row, -row - 1)])
    equal = flat[near] == own
    start, end = np.nonzero(equal)[1].astype(np.int32), run[near[equal]]
    ones = np.ones(len(start), dtype=np.int8)
    graph = sparse.coo_array((ones, (start, end)), (len(here), len(here)))
    pieces, piece = sparse.csgraph.connected_components(graph, directed=False)
    volume = np.zeros(padded.shape, dtype=np.int32)
    volume.ravel()[at] = piece[run_at] + 1
    colour = np.zeros(pieces, dtype=np.intp)
    colour[piece] = np.where(own > 0, own - 1, LINE)
    return volume[:, 1:-1, 1:-1], colour


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
    frame, y, x = at = positions(volume > 0)
    ids = (volume[at] - 1).astype(np.intp)
    count, weight = len(colour), share[at].astype(np.float64)
    total = np.bincount(ids, weight, count).astype(np.float64)
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
        at=at,
        owner=ids,
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
