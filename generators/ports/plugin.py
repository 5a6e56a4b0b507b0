"""What the ports of VideoCrafter2 and LaVie share as plugins."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, Protocol

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.devices import Device, accelerator, resolve_device
from phybench.plugins.contracts import ClipRequest, Failure, Frames, PluginInfo

from ..checkpoint_files import MissingFile
from ..diffusers.model_card import Precision
from ..video_settings import (
    Video,
    over_budget_failure,
    over_budget_texts,
    playback_only,
    resolve_video,
)
from .clip_text import CONTEXT

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun

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


def place(device: Device, dtype: Dtype, card: Precision) -> Placement:
    """The device that is asked for; the published precision, or float32 on a CPU, unless given.

    Raises:
        ConfigError: If there is no such device.
    """
    found = resolve_device(device)
    if dtype != "card":
        return Placement(device=found, dtype=dtype)
    return Placement(device=found, dtype="float32" if found == "cpu" else card)


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


class PortedModel(Protocol):
    """A port's networks, loaded on first use."""

    def ids(self, text: str) -> list[int]:
        """Start mark, tokens and end mark of a text, neither cut nor padded."""
        ...

    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        ...

    def make(self, request: ClipRequest, video: Video) -> Frames | Failure:
        """Make one clip whose settings were checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and how precisely a port computes.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: Precision of all networks.
    """

    device: str
    dtype: Precision


class PortedGenerator:
    """A port as generator. Clips are made one by one, so that none depends on its neighbours.

    Args:
        model: The networks.
        info: What the generator says of itself.
        native: Video settings where a request has no wish.
        over_budget: What to do with texts above CLIP's context.
    """

    def __init__(
        self, model: PortedModel, info: PluginInfo, native: Video, over_budget: OverBudget
    ) -> None:
        self.model, self.info = model, info
        self._native, self._over_budget = native, over_budget

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """CLIP tokens of each text, start and end mark included."""
        return [len(self.model.ids(text)) for text in texts]

    def check(self, plan: PlannedRun) -> list[str]:
        """Video settings and known texts of a plan that would fail."""
        name = self.info.name
        try:
            check_playback(name, self._native, resolve_video(plan.settings, self._native))
        except ConfigError as error:
            return [str(error)]
        if self._over_budget == "truncate":
            return []
        texts = sorted({request.text for request in plan.known_requests()})
        return over_budget_texts(name, self.count_tokens(texts), CONTEXT)

    def generate(self, requests: Sequence[ClipRequest]) -> list[Frames | Failure]:
        """Make one clip per request; a request that cannot be met gives a failure."""
        return [self._clip(request) for request in requests]

    def _clip(self, request: ClipRequest) -> Frames | Failure:
        name, tokens = self.info.name, len(self.model.ids(request.text))
        if self._over_budget == "error" and tokens > CONTEXT:
            return over_budget_failure(name, tokens, CONTEXT)
        video = resolve_video(request.settings, self._native)
        multiple = self.model.size_multiple()
        try:
            check_playback(name, self._native, video)
            check_size(name, video, multiple)
        except ConfigError as error:
            return Failure("settings", str(error))
        made = self.model.make(request, video)
        if isinstance(made, Failure):
            return made
        meta: dict[str, Any] = {"prompt_tokens": tokens, "truncated": tokens > CONTEXT}
        return Frames(made.frames, made.fps, {**made.meta, **meta})


def describe_port(
    name: str,
    *,
    revision: str,
    licence: str,
    native: Video,
    placement: Placement,
    over_budget: OverBudget,
    gpu_gib: float,
    fingerprint: Mapping[str, Any],
) -> PluginInfo:
    """A port's description.

    Args:
        name: Name of the generator.
        revision: Which of the published checkpoints.
        licence: Its licence.
        native: Video settings where a request has no wish.
        placement: Where it computes.
        over_budget: What to do with texts above CLIP's context.
        gpu_gib: Memory on a GPU.
        fingerprint: What decides about pixels besides the above.
    """
    return PluginInfo(
        name=name,
        revision=revision,
        licence=licence,
        fingerprint={
            **fingerprint,
            "native": [native.frames, native.fps, native.width, native.height],
            "dtype": placement.dtype,
            "device": accelerator(placement.device),
            "over_budget": over_budget,
            "versions": {module: version(module) for module in _MODULES},
        },
        video=native.settings(),
        prompt_budget=CONTEXT,
        extra="video",
        gpu_gib=0.0 if placement.device == "cpu" else gpu_gib,
    )


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
