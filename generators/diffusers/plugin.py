"""The generator ``diffusers``: any of diffusers' text-to-video pipelines, fixed by a model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from phybench.errors import ConfigError
from phybench.machine.devices import Device, accelerator, resolve_device
from phybench.plugins.contracts import ClipRequest, Failure, Frames, PluginInfo, VideoSettings

from ..checkpoint_files import checkpoint_digest
from ..pixels import to_frames
from ..video_settings import (
    Video,
    over_budget_failure,
    over_budget_texts,
    resolve_video,
)
from .files import locate, locate_adapter
from .guardrail import BlockedError
from .load import (
    LoadedPipeline,
    LoadPlan,
    Offload,
    Profile,
    check_class,
    load_pipeline,
)
from .model_card import ModelCard, Precision, load_card
from .options import (
    MODULES,
    call_arguments,
    check_video,
    checked_batch,
    checked_profile,
    checked_template,
    component_dtypes,
    require_modules,
    require_tokenizer_reader,
    schedule_overrides,
    traits_of,
)
from .pipeline_traits import library_texts
from .prompt_tokens import count_prompt_tokens

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun

_Size = Annotated[int, Field(ge=2)]


class DiffusersVideo:
    """Clips from a checkpoint in diffusers layout.

    Every value that decides about pixels comes from the preset's card or an option, never from a
    default of the library. Each clip has a noise generator of its own on the CPU, so its noise
    depends neither on its neighbours nor on the kind of GPU.

    Args:
        preset: Bundled preset (``cogvideox``, ...) or path of a preset yaml with a ``card``.
        model: Folder in diffusers layout, or a hub id that is already in the hub cache; empty for
            the card's.
        revision: Branch, tag or commit of the hub repository; empty for the card's.
        adapter: Folder or hub id of the motion adapter (AnimateDiff only).
        download: Whether a hub id that is not on this machine may be downloaded.
        frames: Frames of a clip; the card's native number if not given.
        fps: Frames per second; only models that are told the frame rate accept another than native.
        width: Pixels.
        height: Pixels.
        steps: Sampling steps.
        guidance: Guidance scale.
        guidance_2: Guidance scale of the second expert (Wan 2.2 A14B only).
        flow_shift: Shift of the flow-matching schedule.
        negative_prompt: Negative prompt; an empty text switches the card's off.
        template: Wrapping of the prompt; must hold ``{prompt}`` once.
        dtype: Precision of all parts; ``card`` takes the card's, and float32 on a CPU.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        offload: Where weights wait; ``auto`` keeps them on the GPU if they fit. Changes no pixel.
        vae_tiling: Whether to decode in tiles, to save memory; the card's choice if not given.
        batch: Clips per call. A GPU makes them together, where that was measured to be safe; a CPU
            gains nothing from that and makes them one by one, so that they are exactly equal.
        profile: ``exact`` is the reference. ``compiled`` (torch.compile), ``fast`` (attention or
            block cache) and ``fp8`` (weights stored in 8 bits) change pixels; they have
            fingerprints of their own and are never mixed with ``exact``.
        over_budget: What to do with a prompt above the token budget: refuse it, or let the
            pipeline cut it and record that.

    Raises:
        ConfigError: If an option does not fit the model, or files are missing.
        MissingExtraError: If diffusers or its companions are not installed.
    """

    def __init__(
        self,
        *,
        preset: str,
        model: str = "",
        revision: str = "",
        adapter: str = "",
        download: bool = False,
        frames: Annotated[int, Field(ge=1)] | None = None,
        fps: Annotated[float, Field(gt=0)] | None = None,
        width: _Size | None = None,
        height: _Size | None = None,
        steps: Annotated[int, Field(ge=1)] | None = None,
        guidance: float | None = None,
        guidance_2: float | None = None,
        flow_shift: float | None = None,
        negative_prompt: str | None = None,
        template: str | None = None,
        dtype: Literal["card"] | Precision = "card",
        device: Device = "auto",
        offload: Offload = "auto",
        vae_tiling: bool | None = None,
        batch: Annotated[int, Field(ge=1)] = 1,
        profile: Profile = "exact",
        over_budget: Literal["error", "truncate"] = "error",
    ) -> None:
        self._name = Path(preset).stem if preset.endswith(".yaml") else preset
        self._card = card = load_card(preset)
        self._traits = traits_of(card, self._name)
        require_modules(self._name, self._traits)
        self._batch = checked_batch(batch, self._traits, card)
        self._over_budget = over_budget
        self._template = checked_template(card.template if template is None else template)
        self._negative = card.negative_prompt if negative_prompt is None else negative_prompt
        self._call = call_arguments(card, steps, guidance, guidance_2, self._traits)
        self._defaults = VideoSettings(frames, fps, width, height)
        self._video(VideoSettings())
        checkpoint = locate(self._name, card, model, revision, download)
        adapter_folder = locate_adapter(self._name, card, adapter, checkpoint, download)
        check_class(checkpoint.folder, card, self._name)
        require_tokenizer_reader(self._name, checkpoint.folder)
        self._revision = checkpoint.revision
        target = resolve_device(device)
        self._together = 1 if target == "cpu" else self._batch
        self._plan = LoadPlan(
            folder=checkpoint.folder,
            adapter=adapter_folder,
            dtype=component_dtypes(card, dtype, target),
            device=target,
            offload=offload,
            vae_tiling=card.vae_tiling if vae_tiling is None else vae_tiling,
            profile=checked_profile(profile, self._traits, card),
            guidance=card.guidance if guidance is None else guidance,
            scheduler_config=schedule_overrides(card, flow_shift),
        )
        self._loaded: LoadedPipeline | None = None
        self._tokenizer: Any = None

    @property
    def card(self) -> ModelCard:
        """What is known of the checkpoint, its licence's view of training on clips included."""
        return self._card

    @property
    def info(self) -> PluginInfo:
        """Name, licence, native video, prompt budget and everything that decides about pixels."""
        native = self._video(VideoSettings())
        offload = "none" if self._plan.offload == "auto" else self._plan.offload
        gpu_gib = 0.0 if self._plan.device == "cpu" else self._card.memory(offload)
        return PluginInfo(
            name=self._name,
            revision=self._revision,
            licence=self._card.terms(),
            fingerprint=self._fingerprint(),
            max_batch=self._batch,
            video=native.settings(),
            prompt_budget=self._card.budget,
            extra="video",
            gpu_gib=gpu_gib,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the pipeline counts them against its budget."""
        prompts = [self._template.replace("{prompt}", text) for text in texts]
        call = {**library_texts(self._card.pipeline), **self._call}
        return count_prompt_tokens(self._traits.text, self._load_tokenizer(), prompts, call)

    def check(self, plan: PlannedRun) -> list[str]:
        """Video settings and known texts of a plan that would fail."""
        try:
            self._video(plan.settings)
        except ConfigError as error:
            return [str(error)]
        if self._over_budget == "truncate" or not self._card.budget:
            return []
        texts = sorted({request.text for request in plan.known_requests()})
        return over_budget_texts(self._name, self.count_tokens(texts), self._card.budget)

    def generate(self, requests: Sequence[ClipRequest]) -> list[Frames | Failure]:
        """Make one clip per request; a request that cannot be met gives a failure."""
        counts = self.count_tokens([request.text for request in requests])
        results: dict[int, Frames | Failure] = {}
        ready: list[tuple[int, ClipRequest, Video]] = []
        for index, (request, tokens) in enumerate(zip(requests, counts, strict=True)):
            checked = self._checked(request, tokens)
            if isinstance(checked, Failure):
                results[index] = checked
            else:
                ready.append((index, request, checked))
        for group in _groups(ready, self._together):
            members = [request for _, request, _ in group]
            made = self._generate_group(members, group[0][2])
            for (index, _, _), result in zip(group, made, strict=True):
                results[index] = _with_meta(result, self._meta(counts[index]))
        return [results[index] for index in range(len(requests))]

    def _checked(self, request: ClipRequest, tokens: int) -> Video | Failure:
        try:
            video = self._video(request.settings)
        except ConfigError as error:
            return Failure("settings", str(error))
        if self._over_budget == "error" and self._card.budget and tokens > self._card.budget:
            return over_budget_failure(self._name, tokens, self._card.budget)
        return video

    def _video(self, asked: VideoSettings) -> Video:
        """The run's wishes, then the options, then the card; checked against the card."""
        native = Video(**self._card.native.model_dump())
        own = resolve_video(self._defaults, native)
        video = resolve_video(asked, own)
        check_video(self._name, self._card, self._traits, video)
        return video

    def _generate_group(
        self, requests: Sequence[ClipRequest], video: Video
    ) -> Sequence[Frames | Failure]:
        import torch

        pipe = self._load().pipe
        # One generator per clip, on the CPU: the noise is the same on every machine and batch.
        noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        prompts = [self._template.replace("{prompt}", request.text) for request in requests]
        single = len(prompts) == 1
        try:
            output = pipe(
                prompt=prompts[0] if single else prompts,
                generator=noise[0] if single else noise,
                output_type="np",
                **self._arguments(video, len(prompts)),
            )
        except torch.cuda.OutOfMemoryError as error:
            return [_out_of_memory(self._name, error)] * len(prompts)
        except BlockedError as error:
            return [Failure(error.kind, str(error))]  # guarded pipelines take one prompt
        return [to_frames(clip, video.frames, video.fps) for clip in output.frames]

    def _arguments(self, video: Video, prompts: int) -> dict[str, Any]:
        traits = self._traits
        texts = library_texts(self._card.pipeline)
        arguments = {**texts, **self._call, **dict(traits.pinned)}
        arguments |= {"width": video.width, "height": video.height}
        arguments[traits.frames_argument] = video.frames
        if traits.fps_argument:
            arguments[traits.fps_argument] = _whole(video.fps)
        if traits.budget_argument and self._card.budget:
            arguments[traits.budget_argument] = self._card.budget
        if self._negative is not None:
            arguments["negative_prompt"] = (
                self._negative if prompts == 1 else [self._negative] * prompts
            )
        return arguments

    def _load(self) -> LoadedPipeline:
        if self._loaded is None:
            self._loaded = load_pipeline(self._card, self._plan)
        return self._loaded

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(
                self._plan.folder / "tokenizer", local_files_only=True
            )
        return self._tokenizer

    def _meta(self, tokens: int) -> dict[str, Any]:
        loaded = self._load()
        return {
            "prompt_tokens": tokens,
            "truncated": bool(self._card.budget and tokens > self._card.budget),
            "profile": self._plan.profile,
            "offload": loaded.offload,
            "scheduler": dict(loaded.scheduler),
        }

    def _fingerprint(self) -> dict[str, Any]:
        plan = self._plan
        native = self._video(VideoSettings())
        return {
            "generator": "diffusers-1",
            "pipeline": self._card.pipeline,
            "weights": checkpoint_digest(plan.folder),
            "adapter": checkpoint_digest(plan.adapter) if plan.adapter else "",
            "variant": self._card.variant,
            "call": self._call,
            "budget": self._card.budget,
            "negative_prompt": self._negative,
            "template": self._template,
            "native": [native.frames, native.fps, native.width, native.height],
            "scheduler": self._card.scheduler.model_dump() if self._card.scheduler else None,
            "scheduler_config": dict(plan.scheduler_config),
            "guidance": plan.guidance,
            "dtype": dict(plan.dtype),
            "device": accelerator(plan.device),
            "vae_tiling": plan.vae_tiling,
            "profile": plan.profile,
            "together": self._together,
            "over_budget": self._over_budget,
            "versions": {name: version(name) for name in (*MODULES[:3], *self._traits.needs)},
        }


def _groups(
    ready: Sequence[tuple[int, ClipRequest, Video]], size: int
) -> Iterator[list[tuple[int, ClipRequest, Video]]]:
    """Neighbours of equal video settings, at most ``size`` together."""
    group: list[tuple[int, ClipRequest, Video]] = []
    for member in ready:
        if group and (len(group) == size or group[0][2] != member[2]):
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def _whole(fps: float) -> int | float:
    return int(fps) if float(fps).is_integer() else fps


def _with_meta(result: Frames | Failure, meta: Mapping[str, Any]) -> Frames | Failure:
    if isinstance(result, Failure):
        return result
    return Frames(result.frames, result.fps, {**result.meta, **meta})


def _out_of_memory(name: str, error: Exception) -> Failure:
    return Failure(
        "out_of_memory",
        f"`{name}` ran out of GPU memory: {error}. Set `offload=model`, `vae_tiling=true`, or "
        "fewer frames.",
        retryable=True,
    )
