"""What the ports of VideoCrafter2 and LaVie share as plugins."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from phybench.contracts import ClipRequest, Failure, Frames
from phybench.errors import ConfigError, MissingExtraError
from phybench.generators.checkpoint_files import MissingFile
from phybench.generators.clip_text import CONTEXT
from phybench.generators.model_card import Precision
from phybench.generators.video_settings import (
    Video,
    over_budget_failure,
    over_budget_texts,
    playback_only,
    resolve_video,
)

if TYPE_CHECKING:
    from phybench.plan import Plan

OverBudget = Literal["error", "truncate"]
Dtype = Literal["card"] | Precision
TOKENIZER_FILES = (MissingFile("vocab.json", 0.001), MissingFile("merges.txt", 0.001))
_MODULES = ("torch", "transformers", "diffusers", "ftfy")


def require_video_extra(name: str) -> None:
    """Find out before any work that a package is absent.

    Raises:
        MissingExtraError: If one is.
    """
    for module in _MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"generator `{name}`", module, "video")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that compute the pixels."""
    return {module: version(module) for module in _MODULES}


def precision(dtype: Dtype, card: Precision, device: str) -> Precision:
    """The published precision, or float32 on a CPU, unless one is asked for."""
    if dtype != "card":
        return dtype
    return "float32" if device == "cpu" else card


def check_playback(name: str, native: Video, video: Video) -> None:
    """Refuse a frame rate that the model does not know of, and odd sizes.

    Raises:
        ConfigError: If frames, size or frame rate cannot be met.
    """
    if video.fps != native.fps:
        raise ConfigError(playback_only(name, native.fps, video.fps))
    for side, value in (("width", video.width), ("height", video.height)):
        if value % 2:
            raise ConfigError(f"Expected `{side}` of `{name}` to be even, but got {value}.")


def check_plan(
    name: str,
    plan: Plan,
    native: Video,
    policy: OverBudget,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
) -> list[str]:
    """Video settings and known texts of a plan that would fail."""
    try:
        check_playback(name, native, resolve_video(plan.settings, native))
    except ConfigError as error:
        return [str(error)]
    if policy == "truncate":
        return []
    texts = sorted({request.text for request in plan.known_requests()})
    return over_budget_texts(name, count_tokens(texts), CONTEXT)


def generate_each(
    name: str,
    requests: Sequence[ClipRequest],
    tokens: Sequence[int],
    policy: OverBudget,
    native: Video,
    multiple: int,
    make: Callable[[ClipRequest, Video], Frames | Failure],
) -> list[Frames | Failure]:
    """Make clips one by one, so that none depends on its neighbours.

    Args:
        name: Name of the generator.
        requests: What to make.
        tokens: CLIP tokens of each text.
        policy: What to do with texts above CLIP's context.
        native: Video settings where a request has no wish.
        multiple: Width and height must be multiples of this.
        make: Makes one clip.

    Returns:
        A clip, or a failure that says which wish cannot be met, per request.
    """

    def one(request: ClipRequest, count: int) -> Frames | Failure:
        if policy == "error" and count > CONTEXT:
            return over_budget_failure(name, count, CONTEXT)
        video = resolve_video(request.settings, native)
        try:
            check_playback(name, native, video)
            check_size(name, video, multiple)
        except ConfigError as error:
            return Failure("settings", str(error))
        result = make(request, video)
        if isinstance(result, Failure):
            return result
        meta: dict[str, Any] = {"prompt_tokens": count, "truncated": count > CONTEXT}
        return Frames(result.frames, result.fps, {**result.meta, **meta})

    return [one(request, count) for request, count in zip(requests, tokens, strict=True)]


def check_size(name: str, video: Video, multiple: int) -> None:
    """Refuse a size that the networks cannot halve often enough.

    Raises:
        ConfigError: If width or height is no multiple.
    """
    for side, value in (("width", video.width), ("height", video.height)):
        if value % multiple:
            raise ConfigError(
                f"Expected `{side}` of `{name}` to be a multiple of {multiple}, but got {value}."
            )
