"""Checking the options of generator ``diffusers`` before anything is loaded."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, MissingExtraError

from ..video_settings import Video, playback_only
from .load import Profile
from .model_card import ModelCard
from .pipeline_traits import TRAITS, PipelineTraits

MODULES = ("torch", "transformers", "diffusers", "accelerate")


def traits_of(card: ModelCard, name: str) -> PipelineTraits:
    """How the card's pipeline is called.

    Raises:
        ConfigError: If the card names a pipeline that is not in the table.
    """
    if card.pipeline not in TRAITS:
        raise ConfigError(
            f"Expected the card of `{name}` to name one of {', '.join(sorted(TRAITS))}, but got "
            f"{card.pipeline!r}."
        )
    return TRAITS[card.pipeline]


def require_modules(name: str, traits: PipelineTraits) -> None:
    """Find out before any work that a package is absent.

    Raises:
        MissingExtraError: If it belongs to the extra ``video``.
        ConfigError: If the pipeline needs another one.
    """
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"generator `{name}`", module, "video")
    for module in traits.needs:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"generator `{name}` needs `{module}`, which is not installed and fails only in "
                f"the middle of a run. Run: pip install {module.replace('_', '-')}"
            )


def require_tokenizer_reader(name: str, folder: Path) -> None:
    """Find out before any work that a bare sentencepiece tokenizer could not be read.

    CogVideoX, Mochi, LTX and others bring ``spiece.model`` without ``tokenizer.json``; transformers
    then needs two packages that it does not depend on, and fails with a word on a third.

    Raises:
        ConfigError: If one of them is not installed.
    """
    bare = [
        path.parent
        for path in folder.glob("tokenizer*/*.model")
        if not (path.parent / "tokenizer.json").is_file()
    ]
    for module, package in (("sentencepiece", "sentencepiece"), ("google.protobuf", "protobuf")):
        if bare and not _is_importable(module):
            raise ConfigError(
                f"generator `{name}` needs `{package}` to read the tokenizer in {bare[0]}. "
                f"Run: pip install {package}"
            )


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is absent
        return False


def checked_batch(batch: int, traits: PipelineTraits, card: ModelCard) -> int:
    """The batch size, if the pipeline can take it.

    Raises:
        ConfigError: If prompts in one call would not give the clips of single calls.
    """
    if batch > 1 and not traits.batch:
        raise ConfigError(
            f"Expected `batch` to be 1 for {card.pipeline}, but got {batch}: it does not give the "
            "clips of single calls when prompts share a call."
        )
    return batch


def checked_template(template: str) -> str:
    """The template, if it has one place for the prompt.

    Raises:
        ConfigError: If it has not.
    """
    if template.count("{prompt}") != 1:
        raise ConfigError(f"Expected `template` to hold {{prompt}} once, but got {template!r}.")
    return template


def checked_profile(profile: Profile, traits: PipelineTraits, card: ModelCard) -> Profile:
    """The profile, if the pipeline has it.

    Raises:
        ConfigError: If no cache is known for it.
    """
    if profile == "fast" and traits.cache == "none":
        raise ConfigError(
            f"Expected `profile` to be exact, compiled or fp8 for {card.pipeline}, but got "
            "`fast`: no cache is known to work on its transformer."
        )
    return profile


def call_arguments(
    card: ModelCard,
    steps: int | None,
    guidance: float | None,
    guidance_2: float | None,
    traits: PipelineTraits,
) -> dict[str, Any]:
    """The card's call arguments with the user's in their place.

    Raises:
        ConfigError: If the card leaves one of them out, so that it would have no meaning.
    """
    call = dict(card.call)
    asked = {"num_inference_steps": steps, "guidance_scale_2": guidance_2}
    if not traits.guider:
        asked["guidance_scale"] = guidance
    for name, value in asked.items():
        if value is not None and name not in call:
            raise ConfigError(
                f"Expected no `{name}` for {card.pipeline} as its card is written, but got {value}."
            )
        if value is not None:
            call[name] = value
    return call


def schedule_overrides(card: ModelCard, flow_shift: float | None) -> dict[str, float]:
    """The scheduler's own name for the shift, with its value.

    Raises:
        ConfigError: If the card's scheduler has none.
    """
    if flow_shift is None:
        return {}
    config = card.scheduler.config if card.scheduler else {}
    names = [name for name in ("flow_shift", "shift") if name in config]
    if not names:
        raise ConfigError(
            f"Expected no `flow_shift` for {card.pipeline} with this card's scheduler, but got "
            f"{flow_shift}."
        )
    return {names[0]: flow_shift}


def component_dtypes(card: ModelCard, dtype: str, device: str) -> dict[str, str]:
    """The card's precisions; on a CPU float32, where halves are slow and no reference."""
    if dtype != "card":
        return {"default": dtype}
    return {"default": "float32"} if device == "cpu" else dict(card.dtype)


def check_video(name: str, card: ModelCard, traits: PipelineTraits, video: Video) -> None:
    """Refuse what the pipeline would round, cut or misplay without a word.

    Raises:
        ConfigError: If frames, size or frame rate do not fit the model.
    """
    if not card.frames.allows(video.frames):
        raise ConfigError(
            f"Expected `frames` of `{name}` to be {card.frames.text()}, but got {video.frames}; "
            "the pipeline would round it silently."
        )
    for side, value in (("width", video.width), ("height", video.height)):
        if value % card.size_multiple:
            raise ConfigError(
                f"Expected `{side}` of `{name}` to be a multiple of {card.size_multiple}, but got "
                f"{value}."
            )
    if not traits.fps_argument and not math.isclose(video.fps, card.native.fps):
        raise ConfigError(playback_only(name, card.native.fps, video.fps))
    least = card.min_tile
    sides = (video.frames, video.height, video.width)
    if least and any(side < low for side, low in zip(sides, least, strict=True)):
        raise ConfigError(
            f"Expected a clip of `{name}` to be at least {least[0]} frames of {least[2]}×{least[1]}"
            f", but got {video.frames} of {video.width}×{video.height}: a smaller one decodes to "
            "plain grey."
        )
