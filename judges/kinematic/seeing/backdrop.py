"""The still scene behind the things, and what the frames differ from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..thresholds import Thresholds
from .pixels import middle_over_time

Floats = NDArray[np.float32]
Labels = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What stands still behind the things.

    Args:
        picture: (H, W, 3) float32, the scene with every thing taken away, 0..255.
        plates: (H, W) int16, id of the large flat area (wall, table) that each pixel belongs to.
        guessed: (H, W) where no plate is seen, so that the nearest one's colour and id stand in.
        seam: (H, W) where one plate passes into the next: blurred edges, not structures.
        noise: Standard deviation of a pixel's value between frames.
        texture: Standard deviation of neighbouring pixels of one plate.
    """

    picture: Floats
    plates: Labels
    guessed: NDArray[np.bool_]
    seam: NDArray[np.bool_]
    noise: float
    texture: float


def strongest(differences: Floats) -> Floats:
    """Largest absolute value over the three channels, the last axis."""
    size = np.abs(differences)
    out: Floats = np.maximum(np.maximum(size[..., 0], size[..., 1]), size[..., 2])
    return out


def shrink(frames: NDArray[np.uint8], shortest: int) -> Floats:
    """Average the picture down to ``shortest`` pixels on its short side; smaller ones stay.

    All thresholds in pixels then mean the same share of the picture.
    """
    _, height, width, _ = frames.shape
    side = min(height, width)
    if side <= shortest:
        return frames.astype(np.float32)
    rows = _averages(height, round(height * shortest / side))
    columns = _averages(width, round(width * shortest / side))
    # Frame by frame: a long clip of a large picture would fill the memory as floats.
    return np.stack([_average(frame, rows, columns) for frame in frames])


def _average(frame: NDArray[np.uint8], rows: Floats, columns: Floats) -> Floats:
    height, width, _ = frame.shape
    low = (rows @ frame.reshape(height, width * 3).astype(np.float32)).reshape(-1, width, 3)
    small: Floats = np.matmul(columns, low)
    return small


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
    middle = middle_over_time(frames)
    steps = np.maximum(_step(middle, 0), _step(middle, 1))
    texture = float(np.median(steps) / 0.954)  # median |difference| of two normal values
    smooth = steps < max(limits.edge_step, limits.edge_noises * texture)
    plates = _plates(smooth, limits)
    guessed = plates == 0
    filled, plates = _fill(middle, plates)
    thin = _thin(strongest(middle - filled) > limits.thing_step)
    thin[thin] = _steady(frames[:, thin], middle[thin], limits)
    filled[thin] = middle[thin]
    return Backdrop(filled, plates, guessed, _seams(middle, limits), noise, texture)


def _seams(middle: Floats, limits: Thresholds) -> NDArray[np.bool_]:
    """(H, W) pixels of a colour between those on either side, up and down or left and right."""
    reach, slack = limits.seam_reach, limits.edge_step
    seam = np.zeros(middle.shape[:2], dtype=bool)
    padded = np.pad(middle, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    inner = slice(reach, -reach)
    for one, other in (
        (padded[: -2 * reach, inner], padded[2 * reach :, inner]),
        (padded[inner, : -2 * reach], padded[inner, 2 * reach :]),
    ):
        between = (middle > np.minimum(one, other) - slack) & (
            middle < np.maximum(one, other) + slack
        )
        seam |= between.all(axis=2) & (strongest(one - other) > limits.thing_step)
    return seam


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
    sides = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    edge = np.concatenate([_closed_up(side, limits.seam_reach) for side in sides])
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


def _closed_up(regions: NDArray[np.signedinteger], reach: int) -> NDArray[np.signedinteger]:
    """A line of region numbers, with those beside a blurred step (0) given to their neighbours."""
    grown = regions.copy()
    for _ in range(reach):
        for before, after in ((grown[:-1], grown[1:]), (grown[::-1][:-1], grown[::-1][1:])):
            free = (after == 0) & (before > 0)
            after[free] = before[free]
    return grown


def _fill(picture: Floats, plates: Labels) -> tuple[Floats, Labels]:
    """Give what is no plate the colour and id of the nearest one, sideways before up or down."""
    hole = plates == 0
    if not hole.any() or hole.all():
        return picture.astype(np.float32), plates
    where = ndimage.distance_transform_edt(
        hole, sampling=(64, 1), return_distances=False, return_indices=True
    )
    return picture[where[0], where[1]].astype(np.float32), plates[where[0], where[1]]
