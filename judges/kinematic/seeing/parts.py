"""What is no thing of its own: mixed edge colours, rims and highlights, lines."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..thresholds import Thresholds
from .backdrop import Floats
from .blobs import LINE, SPECK, Blobs, find_blobs


def tidy(blobs: Blobs, labels: NDArray[np.int8], air: Floats, limits: Thresholds) -> Blobs:
    """Blobs of whole things: mixtures and parts joined to their things, lines marked as such.

    Args:
        blobs: Blobs of all colours.
        labels: (T, H, W) palette index + 1 per pixel, changed in place.
        air: (3,) colour that most of the backdrop has.
        limits: Thresholds.
    """
    blobs = _join_mixtures(blobs, labels, air, limits)
    blobs = join_parts(blobs, labels, limits)
    return _mark_lines(blobs, labels, limits)


def _inner_share(blobs: Blobs) -> NDArray[np.float64]:
    """(N,) share of each blob's pixels whose four neighbours are its own: 0 for a line."""
    _, height, width = blobs.labels.shape
    frame, y, x = blobs.at
    volume = blobs.labels.ravel()
    at, own = (frame * height + y) * width + x, blobs.owner + 1
    whole = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
    at, own = at[whole], own[whole]
    for step in (-width, width, -1, 1):
        same = volume[at + step] == own
        at, own = at[same], own[same]
    inner = np.bincount(own, minlength=len(blobs.frame) + 1)[1:]
    share: NDArray[np.float64] = inner / blobs.pixels
    return share


def _join_mixtures(
    blobs: Blobs, labels: NDArray[np.int8], air: Floats, limits: Thresholds
) -> Blobs:
    """Give thin pieces whose colour lies between a thing's and what is behind it to that thing."""
    inner, target = _inner_share(blobs), {}
    for colour, _own in enumerate(blobs.palette):
        pieces = blobs.colour == colour
        if (
            pieces.any()
            and np.average(inner[pieces], weights=blobs.area[pieces]) > limits.mixture_inner
        ):
            continue
        source = _source(colour, blobs.palette, air, limits)
        if source is not None:
            target[colour] = source
    if not target:
        return blobs
    before = labels.copy()
    for colour, other in target.items():
        whole = other  # a mixture's source may itself be a mixture of a brighter colour
        while whole in target and target[whole] != colour:
            whole = target[whole]
        labels[before == colour + 1] = whole + 1
    return find_blobs(labels, blobs.palette, blobs.share, limits)


def _source(colour: int, palette: Floats, air: Floats, limits: Thresholds) -> int | None:
    """The thing's colour that, mixed with the air's or a paler one, gives this colour.

    Mixing with grey keeps the hue, mixing with the air stays on a line in RGB.
    """
    chroma = np.ptp(palette, axis=1)
    if chroma[colour] < limits.mixture_chroma:
        return None
    best, nearest = None, np.inf
    for other, full in enumerate(palette):
        if other == colour or chroma[other] <= chroma[colour]:
            continue
        pale = palette[chroma < limits.mixture_pale * chroma[other]]
        distance = min(_off_line(palette[colour], behind, full) for behind in (air, *pale))
        if _hue_apart(palette[colour], full) < limits.mixture_hue:
            distance = min(distance, limits.mixture_step / 2)
        if distance < min(nearest, limits.mixture_step):
            best, nearest = other, distance
    return best


def _hue_apart(one: Floats, other: Floats) -> float:
    """Difference of two hues, 0..0.5."""
    hues = [colorsys.rgb_to_hsv(*(float(v) / 255 for v in rgb))[0] for rgb in (one, other)]
    apart = abs(hues[0] - hues[1])
    return min(apart, 1 - apart)


def _off_line(mixed: Floats, behind: Floats, full: Floats) -> float:
    """Distance of a colour from the line between two others; infinite beyond its ends."""
    span = full - behind
    share = float((mixed - behind) @ span / max(float(span @ span), 1.0))
    if not 0.15 < share < 0.95:
        return float("inf")
    return float(np.linalg.norm(mixed - behind - share * span))


def _mark_lines(blobs: Blobs, labels: NDArray[np.int8], limits: Thresholds) -> Blobs:
    """Make thin colourless blobs (rods, springs, planks, walls of cups) lines.

    Where a good part of a colour is thin, all of it is: a plank and its stand are one structure.
    Lines that are short or lie within a thing's box are its rim, or chroma that bled; those
    about a pool are its walls.
    """
    line = _is_line(blobs, limits)
    joined = False
    for colour in np.unique(blobs.colour[line & (blobs.colour >= 0)]):
        own = blobs.colour == colour
        if blobs.area[own & line].sum() > limits.line_share * blobs.area[own].sum():
            labels[labels == colour + 1] = -1
            joined = True
    if joined:
        blobs = find_blobs(labels, blobs.palette, blobs.share, limits)
        line = _is_line(blobs, limits)
    colour_or_line = np.where(line, LINE, blobs.colour)
    marked = replace(blobs, colour=colour_or_line)
    extent = np.maximum(blobs.right - blobs.left, blobs.bottom - blobs.top) + 1
    hosts = _hosts(marked, limits)
    small_host = blobs.area[hosts] < limits.pool_share * blobs.labels[0].size
    speck = (extent < limits.line_length) | ((hosts >= 0) & small_host)
    return replace(blobs, colour=np.where((colour_or_line == LINE) & speck, SPECK, colour_or_line))


def _is_line(blobs: Blobs, limits: Thresholds) -> NDArray[np.bool_]:
    """(N,) whether a blob is nearly grey and thin, or wide and mostly empty."""
    chroma = np.ptp(blobs.palette, axis=1) if len(blobs.palette) else np.zeros(0)
    neutral = np.append(chroma < limits.line_chroma, [True, True])[blobs.colour]
    width, height = blobs.right - blobs.left + 1, blobs.bottom - blobs.top + 1
    sparse = (np.maximum(width, height) > limits.line_extent * blobs.labels.shape[1]) & (
        blobs.pixels < limits.line_filling * width * height
    )
    thin = _inner_share(blobs) < limits.line_inner
    line: NDArray[np.bool_] = (blobs.colour < 0) | (neutral & (thin | sparse))
    return line


def join_parts(blobs: Blobs, labels: NDArray[np.int8], limits: Thresholds) -> Blobs:
    """Give the pixels of rims and highlights to the thing that they lie on.

    A colour is a part if nearly all its blobs lie within (or around) a larger blob of another
    colour and keep their place on it. A ball under water fails the latter.

    Args:
        blobs: Blobs of all colours.
        labels: (T, H, W) palette index + 1 per pixel, changed in place.
        limits: Thresholds.

    Returns:
        The blobs after joining; the same object if there was nothing to join.
    """
    if len(blobs.palette) < 2:
        return blobs
    host = _hosts(blobs, limits)
    changed = False
    for colour in range(len(blobs.palette)):
        own = np.flatnonzero(blobs.colour == colour)
        if not len(own) or (host[own] >= 0).mean() < limits.part_share:
            continue
        if not _rides(blobs, own, host, limits):
            continue
        new_label = np.where(host >= 0, blobs.colour[host] + 1, -1)
        pixels = labels == colour + 1
        blob_of = blobs.labels[pixels] - 1
        labels[pixels] = np.where(blob_of >= 0, new_label[blob_of], -1)
        changed = True
    return find_blobs(labels, blobs.palette, blobs.share, limits) if changed else blobs


def _hosts(blobs: Blobs, limits: Thresholds) -> NDArray[np.intp]:
    """For each blob the larger solid blob of another colour whose box holds it, or -1."""
    small, big = _pairs_of_a_frame(blobs.frame, blobs.labels.shape[0])
    margin = limits.part_margin
    inside = (
        (blobs.left[small] >= blobs.left[big] - margin)
        & (blobs.right[small] <= blobs.right[big] + margin)
        & (blobs.top[small] >= blobs.top[big] - margin)
        & (blobs.bottom[small] <= blobs.bottom[big] + margin)
        & (blobs.area[small] < blobs.area[big])
        & (blobs.colour[small] != blobs.colour[big])
        & (blobs.colour[big] >= 0)
    )
    small, big = small[inside], big[inside]
    room = np.full(len(blobs.frame), np.inf)
    np.minimum.at(room, small, blobs.area[big])
    tightest = blobs.area[big] == room[small]
    host = np.full(len(blobs.frame), -1, dtype=np.intp)
    host[small[tightest][::-1]] = big[tightest][::-1]  # of equals the first stays
    return host


def _pairs_of_a_frame(
    frame: NDArray[np.intp], frames: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All ordered pairs of blobs that share a frame; ``frame`` (N,) ascends."""
    count = np.bincount(frame, minlength=frames)
    first = np.cumsum(count) - count
    each = count[frame]
    one = np.repeat(np.arange(len(frame)), each)
    within = np.arange(len(one)) - np.repeat(np.cumsum(each) - each, each)
    return one, first[frame[one]] + within


def _rides(blobs: Blobs, own: NDArray[np.intp], host: NDArray[np.intp], limits: Thresholds) -> bool:
    """Whether a colour's middle keeps its place on the hosts of each colour, which move."""
    hosted = own[host[own] >= 0]
    hosts = host[hosted]
    for colour in np.unique(blobs.colour[hosts]):
        on = blobs.colour[hosts] == colour
        if max(np.ptp(blobs.x[hosts[on]]), np.ptp(blobs.y[hosts[on]])) < limits.part_travel:
            return False
        frames = blobs.frame[hosted[on]]
        weight = blobs.area[hosted[on]]
        total = np.bincount(frames, weight)
        seen = total > 0
        for place in (blobs.x, blobs.y):
            offset = np.bincount(frames, weight * (place[hosted[on]] - place[hosts[on]]))
            if np.ptp(offset[seen] / total[seen]) > limits.part_slip:
                return False
    return True
