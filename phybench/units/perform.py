"""One batch of one stage: call the plugin, and let no input take its neighbours with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from phybench.errors import StorageError
from phybench.plugins.contracts import (
    Clip,
    Failure,
    Frames,
    NoVideo,
    Refinement,
    Scale,
    Score,
    VideoFile,
)
from phybench.plugins.opened import Kind
from phybench.units.codec import Value
from phybench.units.unit import Unit
from phybench.video.clip_store import store_clip

_MADE = (Frames, VideoFile, NoVideo)


def timed(kind: Kind, plugin: Any, units: Sequence[Unit], clips: Path) -> tuple[list[Value], float]:
    """Do one batch and say how many seconds it took; otherwise as :func:`perform`."""
    started = time.perf_counter()
    results = perform(kind, plugin, units, clips)
    return results, time.perf_counter() - started


def perform(kind: Kind, plugin: Any, units: Sequence[Unit], clips: Path) -> list[Value]:
    """Do one batch.

    An exception of the plugin is tried again one input at a time, so that it becomes a failure of
    the input that caused it and of no other.

    Args:
        kind: The stage.
        plugin: The plugin of that stage.
        units: The batch, all of that stage.
        clips: The cache's clip folder, where generated videos are stored.

    Returns:
        One result per unit, in order.
    """
    bodies = [unit.body for unit in units]
    if kind == "refiner":
        refined = _refined(plugin, units)
        return [_checked_refinement(result) for result in refined]
    if kind == "judge":
        scores = _isolated(lambda part: plugin.score(bodies[part]), len(bodies))
        return [_checked_score(result, plugin.info.scale) for result in scores]
    if kind == "view":
        return _isolated(
            lambda part: [_viewed(plugin, unit, clips) for unit in units[part]],
            len(units),
        )
    made = _isolated(lambda part: plugin.generate(bodies[part]), len(bodies))
    return [_stored(video, clips, unit.key) for video, unit in zip(made, units, strict=True)]


def _refined(plugin: Any, units: Sequence[Unit]) -> list[Any]:
    """Prompts to refine and texts to shorten, each act in one call, in the order they came."""
    results: dict[int, Any] = {}
    for act in ("refine", "shorten"):
        rows = [row for row, unit in enumerate(units) if unit.act == act]
        if rows:
            made = _called(plugin, act, [units[row] for row in rows])
            results.update(zip(rows, made, strict=True))
    return [results[row] for row in range(len(units))]


def _called(plugin: Any, method: str, units: Sequence[Unit]) -> list[Any]:
    bodies = [unit.body for unit in units]
    seeds = [unit.seed for unit in units]
    call = getattr(plugin, method)
    return _isolated(lambda part: call(bodies[part], seeds[part]), len(bodies))


def _checked_refinement(result: Any) -> Value:
    if isinstance(result, Refinement) and not result.text.strip():
        return Failure("empty", "Expected a refined prompt, but the refiner gave an empty text.")
    if isinstance(result, Refinement | Failure):
        return result
    return _foreign(result)


def _checked_score(result: Any, scale: Scale) -> Value:
    if isinstance(result, Failure):
        return result
    if not isinstance(result, Score):
        return _foreign(result)
    if result.sa is not None and result.pc is not None:
        for name, value in (("sa", result.sa), ("pc", result.pc)):
            if not scale.low <= value <= scale.high:
                return Failure(
                    "out-of-scale",
                    f"Expected `{name}` in {scale.low:g}..{scale.high:g}, but got {value}.",
                    reply=result.reply,
                )
    return result


def _foreign(result: Any) -> Failure:
    return Failure("contract", f"Expected a result of this stage, but got {type(result).__name__}.")


def _stored(made: Any, clips: Path, key: str) -> Value:
    if isinstance(made, Failure):
        return made
    if not isinstance(made, _MADE):
        return _foreign(made)
    try:
        return store_clip(made, clips, key)
    except ValueError as error:
        return Failure("invalid-video", str(error))
    except OSError as error:
        raise StorageError(f"Cannot store a clip in {str(clips)!r}: {error}.") from error


def _viewed(viewer: Any, unit: Unit, clips: Path) -> Clip | Failure:
    try:
        viewed: Clip | Failure = viewer.show(unit.body, clips, unit.key)
    except OSError as error:
        raise StorageError(f"Cannot store a view in {str(clips)!r}: {error}.") from error
    return viewed


def _isolated(call: Callable[[slice], Sequence[Any]], count: int) -> list[Any]:
    results = _attempt(call, slice(0, count))
    if isinstance(results, Failure):
        if count == 1:
            return [results]
        singles = (_attempt(call, slice(index, index + 1)) for index in range(count))
        return [single if isinstance(single, Failure) else single[0] for single in singles]
    return results


def _attempt(call: Callable[[slice], Sequence[Any]], part: slice) -> list[Any] | Failure:
    expected = part.stop - part.start
    try:
        results = list(call(part))
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001  a plugin is foreign code: whatever it raises is its input's failure
        return Failure("error", f"{type(error).__name__}: {error}", retryable=True)
    if len(results) != expected:
        return Failure(
            "contract", f"Expected {expected} results, but the plugin gave {len(results)}."
        )
    return results
