"""What touches what, and how far things are from anything solid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..seeing.backdrop import Backdrop, air_colour, strongest
from ..seeing.blobs import LINE, Blobs
from ..thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The fixed solids of a scene and the contacts of each blob.

    Args:
        solid: (H, W) mask of floor, table, ramps: plates that are not the air.
        bare: (H, W) ... that are seen bare most of the time.
        below: (H, W) rows from each pixel down to the next solid, 0 inside one; the frame's
            lower edge counts as none.
        fixture: (H, W) mask of thin still structures: walls of vessels, beams, shelves.
        solid_gap: (N,) empty pixels from each blob to the nearest solid, fixture or line.
        line_gap: (N,) ... to the nearest line alone.
        pairs: (P, 2) blobs of one frame that touch, smaller index first.
        planks_move: Whether there are lines that do not stay where they are.
        edge: (N,) whether a blob reaches the frame's edge.
    """

    solid: NDArray[np.bool_]
    bare: NDArray[np.bool_]
    below: NDArray[np.float64]
    fixture: NDArray[np.bool_]
    solid_gap: NDArray[np.float64]
    line_gap: NDArray[np.float64]
    pairs: NDArray[np.intp]
    planks_move: bool
    edge: NDArray[np.bool_]


def survey(blobs: Blobs, backdrop: Backdrop, limits: Thresholds) -> Surroundings:
    """Find the fixed solids and every blob's contacts."""
    solid = solid_plates(backdrop)
    plain = ~solid
    fixture = plain & (
        strongest(backdrop.picture - air_colour(backdrop))
        > max(limits.thing_step, limits.fixture_textures * backdrop.texture)
    )
    fixture &= ~backdrop.seam
    fixture &= _share_of_time(blobs, np.ones(len(blobs.frame), bool)) < limits.fixture_covered
    lines = _share_of_time(blobs, blobs.colour == LINE)
    fixture |= plain & (lines > limits.fixture_seen)
    line_gap = _line_gaps(blobs)
    height, width = solid.shape
    edge = (
        (blobs.left <= 0)
        | (blobs.top <= 0)
        | (blobs.right >= width - 1)
        | (blobs.bottom >= height - 1)
    )
    return Surroundings(
        solid=solid,
        bare=solid & ~backdrop.guessed,
        below=_rows_to(solid),
        fixture=fixture,
        solid_gap=np.minimum(_gaps(blobs, solid | fixture), line_gap),
        line_gap=line_gap,
        planks_move=bool((lines > limits.fixture_seen).sum() < 0.5 * lines.sum()),
        pairs=_touching(blobs, limits.touch),
        edge=edge,
    )


def _share_of_time(blobs: Blobs, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(H, W) share of the frames in which each pixel belongs to a chosen blob."""
    frames, height, width = blobs.labels.shape
    _, y, x = blobs.at
    place = (y * width + x)[chosen[blobs.owner]]
    share: NDArray[np.float64] = np.bincount(place, minlength=height * width) / frames
    return share.reshape(height, width)


def solid_plates(backdrop: Backdrop) -> NDArray[np.bool_]:
    """(H, W) plates other than the air, which is the largest one and all that reach the top."""
    plates = backdrop.plates
    sizes = np.bincount(plates.ravel())
    sizes[0] = 0
    air = {int(sizes.argmax()), *np.unique(plates[0]).tolist()}
    solid: NDArray[np.bool_] = (plates > 0) & ~np.isin(plates, list(air))
    return solid


def _rows_to(solid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rows from each pixel down to the next solid pixel; infinite where there is none."""
    height = solid.shape[0]
    rows = np.where(solid, np.arange(height)[:, None], np.inf)
    first = np.minimum.accumulate(rows[::-1])[::-1]
    gap: NDArray[np.float64] = first - np.arange(height)[:, None]
    return gap


def _gaps(blobs: Blobs, solid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Empty pixels between each blob and the nearest fixed solid."""
    gaps = np.full(len(blobs.frame), np.inf)
    if not solid.any():
        return gaps
    away = ndimage.distance_transform_edt(~solid) - 1
    _, y, x = blobs.at
    np.minimum.at(gaps, blobs.owner, away[y, x])
    return gaps


def _line_gaps(blobs: Blobs) -> NDArray[np.float64]:
    """Empty pixels between each blob and the nearest line of its frame."""
    gaps = np.full(len(blobs.frame), np.inf)
    is_line = np.append([False], blobs.colour == LINE)
    for frame in np.unique(blobs.frame[blobs.colour == LINE]):
        labels = blobs.labels[frame]
        away = ndimage.distance_transform_edt(~is_line[labels]) - 1
        things = (labels > 0) & ~is_line[labels]
        np.minimum.at(gaps, labels[things] - 1, away[things])
    return gaps


def _touching(blobs: Blobs, reach: int) -> NDArray[np.intp]:
    """Pairs of blobs of one frame with at most ``reach`` - 1 empty pixels between them."""
    frames, height, width = blobs.labels.shape
    padded = np.zeros((frames, height + 2 * reach, width + 2 * reach), dtype=np.int64)
    padded[:, reach:-reach, reach:-reach] = blobs.labels
    flat, row = padded.ravel(), padded.shape[2]
    frame, y, x = blobs.at
    at = (frame * padded.shape[1] + y + reach) * row + x + reach
    own, count = blobs.owner + 1, len(blobs.frame) + 1
    found = []
    for dy in range(reach + 1):
        for dx in range(-reach, reach + 1):
            if (dy == 0 and dx <= 0) or np.hypot(dx, dy) > reach:
                continue
            near = flat[at + dy * row + dx]
            apart = (near > 0) & (near != own)
            low = np.minimum(own[apart], near[apart])
            found.append(low * count + np.maximum(own[apart], near[apart]))
    codes = np.unique(np.concatenate(found))
    pairs: NDArray[np.intp] = np.stack([codes // count - 1, codes % count - 1], axis=1)
    return pairs
