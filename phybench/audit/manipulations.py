"""Changes to a clip: those that break physics, and those that must not matter.

Each takes frames of shape (T, H, W, 3), uint8 RGB, and gives changed frames, or ``None`` where the
change would break nothing in this clip (nothing moves, the camera moves, the result would be
lawful). Frame rate stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from phybench.audit.regions import Frames, MovingRegion, motion, moving_thing

Change = Callable[[Frames, np.random.Generator], Frames | None]

_STILL = 0.0005
"""Share of changing pixels below which a step counts as rest."""
_RISE = 0.02
"""Way up or down from one frame to the next, as a share of the height, that counts as flight."""
_WHOLE = 1.5
"""Factor between the smallest and the largest area of a thing that is seen whole all the time."""
_SMALLEST_SIDE = 64
"""Pixels on the short side below which details of a clip are lost."""


def _busiest(frames: Frames) -> int | None:
    """The frame in the middle half before which most moves; ``None`` if nothing does."""
    steps = motion(frames)
    first, last = max(1, len(steps) // 4), max(2, 3 * len(steps) // 4)
    step = first + int(steps[first:last].argmax())
    return step + 1 if steps[step] > _STILL and step + 2 < len(frames) else None


def reversed_in_time(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """Played backwards, where the clip ends at rest: things at rest start by themselves."""
    steps = motion(frames)
    tail = steps[-max(2, len(steps) // 6) :]
    return frames[::-1] if tail.max() <= _STILL < steps.max() else None


def shuffled(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """Frames in random order, where most of the clip moves."""
    if (motion(frames) > _STILL).mean() < 0.5:
        return None
    order = rng.permutation(len(frames))
    return frames[order] if (order != np.arange(len(frames))).mean() > 0.5 else frames[::-1][order]


def frozen(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """Everything stands still from a moment on at which the thing is rising or falling.

    A thing that slides or lands may stop for reasons that cannot be seen; one in the air may not.
    """
    busiest = _busiest(frames)
    if busiest is None:
        return None
    for start in range(max(2, busiest - 4), busiest + 1):
        if _in_flight(frames, start):
            changed = frames.copy()
            changed[start:] = frames[start]
            return changed
    return None


def _in_flight(frames: Frames, start: int) -> bool:
    """Whether the thing goes on up or down, the same way, for two more frames."""
    thing = moving_thing(frames, start)
    if thing is None or start + 2 >= len(frames) or not thing.visible(start + 2):
        return False
    steps = np.diff([thing.centre(start + number) for number in range(3)], axis=0)
    down, across = np.abs(steps).min(axis=0)
    return bool(
        steps[0, 0] * steps[1, 0] > 0 and down >= _RISE * frames.shape[1] and down >= across / 2
    )


def jump_cut(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """A piece around the busiest moment is missing, so that the moving thing jumps."""
    busiest, gap = _busiest(frames), max(2, len(frames) // 4)
    if busiest is None:
        return None
    start = max(1, busiest - gap // 2 - 1)
    thing = moving_thing(frames, start) if start + gap < len(frames) - 1 else None
    if thing is None or not thing.visible(start + gap):
        return None
    top, bottom, left, right = thing.box(start)
    jump = np.linalg.norm(thing.centre(start + gap) - thing.centre(start))
    if jump < max(bottom - top, right - left):
        return None
    return np.concatenate([frames[: start + 1], frames[start + gap :]])


def _whole(frames: Frames, start: int | None) -> MovingRegion | None:
    """The moving thing, if it is seen whole in every frame to come.

    Where it comes to rest for most of the clip it is part of the median that stands for the
    background, and a liquid changes its size: cut out or copied, only shreds of either would go.
    """
    thing = moving_thing(frames, start) if start is not None else None
    if thing is None or start is None or start + 2 >= len(frames):
        return None
    areas = thing.masks[start:].sum(axis=(1, 2))
    return thing if areas.min() * _WHOLE >= areas.max() else None


def removed(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """The moving thing vanishes in full view."""
    start = _busiest(frames)
    thing = _whole(frames, start)
    if thing is None or start is None:
        return None
    changed = frames.copy()
    for number in range(start, len(frames)):
        changed[number][thing.masks[number]] = thing.background[thing.masks[number]]
    return changed


def teleported(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """The moving thing is cut out and goes on elsewhere."""
    return _pasted(frames, rng, keep=False)


def duplicated(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """A second copy of the moving thing is there from one frame to the next."""
    return _pasted(frames, rng, keep=True)


def _pasted(frames: Frames, rng: np.random.Generator, *, keep: bool) -> Frames | None:
    start = _busiest(frames)
    thing = _whole(frames, start)
    if thing is None or start is None:
        return None
    _, _, left, right = thing.box(start)
    shifts = _shifts(frames.shape[2], left, right)
    if not shifts:
        return None
    shift = int(rng.choice(shifts))
    changed = frames.copy()
    for number in range(start, len(frames)):
        mask = thing.masks[number]
        if not keep:
            changed[number][mask] = thing.background[mask]
        rows, columns = np.nonzero(mask)
        inside = (columns + shift >= 0) & (columns + shift < frames.shape[2])
        rows, columns = rows[inside], columns[inside]
        changed[number][rows, columns + shift] = frames[number][rows, columns]
    return changed


def _shifts(width: int, left: int, right: int) -> list[int]:
    """Sideways moves by two widths that stay in the picture."""
    by = 2 * (right - left)
    return [shift for shift in (-by, by) if left + shift >= 0 and right + shift <= width]


def upside_down(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """Turned over, where a thing falls and comes to rest: it falls upward and stays there."""
    start = _busiest(frames)
    thing = moving_thing(frames, start) if start is not None else None
    if thing is None or start is None or motion(frames)[-2:].max() > _STILL:
        return None
    seen = [number for number in range(start, len(frames)) if thing.visible(number)]
    drop = thing.centre(seen[-1])[0] - thing.centre(start)[0]
    sideways = abs(thing.centre(seen[-1])[1] - thing.centre(start)[1])
    if drop < 0.15 * frames.shape[1] or sideways > drop / 2:
        return None
    return frames[:, ::-1].copy()


def slow_motion(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """From its busiest moment on, the clip runs at a third of its speed."""
    start = _busiest(frames)
    if start is None or (motion(frames)[start:] > _STILL).sum() < 3:
        return None
    rest = start + (np.arange(len(frames) - start) / 3).astype(int)
    return np.asarray(frames[np.concatenate([np.arange(start), rest])])


def fast_motion(frames: Frames, rng: np.random.Generator) -> Frames | None:
    """From its busiest moment on, the clip runs at three times its speed."""
    start = _busiest(frames)
    if start is None or (motion(frames)[start:] > _STILL).sum() < 6:
        return None
    return np.concatenate([frames[:start], frames[start::3]])


PHYSICAL: Mapping[str, Change] = {
    "reversed": reversed_in_time,
    "shuffled": shuffled,
    "frozen": frozen,
    "jump cut": jump_cut,
    "removed": removed,
    "teleported": teleported,
    "duplicated": duplicated,
    "upside down": upside_down,
}
"""Changes that break physics, by name."""

TEMPO: Mapping[str, Change] = {"slow motion": slow_motion, "fast motion": fast_motion}
"""Changes of speed: unlawful, but a judge that does not know the scale may not see them."""


def resized(frames: Frames, rng: np.random.Generator) -> Frames:
    """Three quarters of the size, or four thirds where that would lose what can be seen.

    In smaller pictures than 64 pixels with colours at half the resolution (4:2:0) thin things are
    gone: that is no harmless change.
    """
    import av

    small = min(frames.shape[1:3]) * 3 / 4 < _SMALLEST_SIDE
    factor = 4 / 3 if small else 3 / 4
    height, width = (max(2, 2 * round(side * factor / 2)) for side in frames.shape[1:3])
    return np.stack(
        [
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            .reformat(width, height, interpolation="BICUBIC" if small else "AREA")
            .to_ndarray(format="rgb24")
            for frame in frames
        ]
    )


def brighter(frames: Frames, rng: np.random.Generator) -> Frames:
    """A tenth brighter."""
    return np.asarray(np.clip(frames * 1.1, 0, 255).astype(np.uint8))


def noisy(frames: Frames, rng: np.random.Generator) -> Frames:
    """Pixel noise of standard deviation 5 of 255."""
    return np.asarray(np.clip(frames + rng.normal(0, 5, frames.shape), 0, 255).astype(np.uint8))


def mirrored(frames: Frames, rng: np.random.Generator) -> Frames:
    """Left and right swapped; not for prompts that name them."""
    return frames[:, :, ::-1].copy()


def unchanged(frames: Frames, rng: np.random.Generator) -> Frames:
    """The same pixels; what changes is the encoding."""
    return frames


INVARIANT: Mapping[str, Change] = {
    "re-encoded": unchanged,
    "resized": resized,
    "brighter": brighter,
    "noisy": noisy,
    "mirrored": mirrored,
}
"""Changes that must not matter; ``re-encoded`` clips are written at CRF 28."""
