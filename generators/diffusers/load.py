"""Loading a diffusers pipeline exactly as a card says."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError
from phybench.machine.files import read_json

from .guardrail import listen
from .model_card import ModelCard
from .pipeline_traits import TRAITS, PipelineTraits

Profile = Literal["exact", "compiled", "fast", "fp8"]
Offload = Literal["auto", "none", "model", "sequential"]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load and how; together with the card, everything that decides about pixels.

    Args:
        folder: Checkpoint in diffusers layout.
        adapter: Folder of the motion adapter, if the pipeline takes one.
        dtype: Component to precision, ``default`` for the rest.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        offload: Where weights wait while they are not used.
        vae_tiling: Whether to decode in tiles.
        profile: ``exact``, or a faster one whose pixels differ.
        guidance: Guidance scale for pipelines with a guider.
        scheduler_config: Values that override those of the scheduler.
    """

    folder: Path
    adapter: Path | None
    dtype: Mapping[str, str]
    device: str
    offload: Offload
    vae_tiling: bool
    profile: Profile
    guidance: float | None
    scheduler_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline that is ready to be called.

    Args:
        pipe: The diffusers pipeline.
        offload: How it was placed, with ``auto`` decided.
        scheduler: The scheduler's class and configuration as loaded.
    """

    pipe: Any
    offload: Offload
    scheduler: Mapping[str, Any]


def load_pipeline(card: ModelCard, plan: LoadPlan) -> LoadedPipeline:
    """Load, place and set up a pipeline; never touches the network.

    Raises:
        ConfigError: If the checkpoint is of another kind, the device is not there, or a call
            argument of the card is unknown to the pipeline.
    """
    import diffusers
    import torch

    if plan.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"Expected a CUDA device for `device={plan.device}`, but torch sees none."
        )
    pipeline_class = getattr(diffusers, card.pipeline)
    traits = TRAITS[card.pipeline]
    check_call(pipeline_class, card, traits)
    pipe = pipeline_class.from_pretrained(
        plan.folder,
        dtype={name: getattr(torch, value) for name, value in plan.dtype.items()},
        local_files_only=True,
        variant=_variant(card, plan.folder),
        **_adapter(diffusers, plan, torch),
    )
    return prepare_pipeline(pipe, card, plan)


def prepare_pipeline(pipe: Any, card: ModelCard, plan: LoadPlan) -> LoadedPipeline:
    """Set up and place a pipeline whose weights are loaded."""
    import diffusers
    import torch

    traits = TRAITS[card.pipeline]
    pipe.set_progress_bar_config(disable=True)
    _set_scheduler(diffusers, pipe, card, plan)
    if plan.guidance is not None and traits.guider:
        pipe.guider = pipe.guider.new(guidance_scale=plan.guidance)
    if plan.vae_tiling:
        pipe.vae.enable_tiling()
    if traits.guarded:
        listen(pipe.safety_checker)
    offload = _place(pipe, card, plan, torch)
    _accelerate(pipe, plan.profile, traits, torch)
    return LoadedPipeline(pipe, offload, scheduler_record(pipe.scheduler))


def check_call(pipeline_class: Any, card: ModelCard, traits: PipelineTraits) -> None:
    """Refuse arguments that a pipeline does not have, instead of dropping them.

    Raises:
        ConfigError: Naming the arguments.
    """
    accepted = set(inspect.signature(pipeline_class.__call__).parameters)
    given = {*card.call, *(name for name, _ in traits.pinned), traits.frames_argument}
    if unknown := sorted(given - accepted):
        raise ConfigError(
            f"Expected call arguments of {card.pipeline}, but it has no {', '.join(unknown)}. "
            "Correct the preset, or install the version of diffusers it was written for."
        )


def check_class(folder: Path, card: ModelCard, generator: str) -> None:
    """Refuse a checkpoint of another pipeline before anything is loaded.

    Raises:
        ConfigError: If ``model_index.json`` names a class that the card cannot load.
    """
    found = read_json(folder / "model_index.json").get("_class_name")
    base = {"StableDiffusionPipeline"} if card.pipeline == "AnimateDiffPipeline" else set()
    if found not in {card.pipeline, *base}:
        raise ConfigError(
            f"Expected {folder} to be a checkpoint of {card.pipeline} for generator "
            f"`{generator}`, but its model_index.json says {found!r}."
        )


def scheduler_record(scheduler: Any) -> dict[str, Any]:
    """A scheduler's class and configuration as JSON values."""
    kept = {
        name: value
        for name, value in dict(scheduler.config).items()
        if not name.startswith("_") and isinstance(value, str | int | float | bool)
    }
    return {"class": type(scheduler).__name__, **kept}


def _variant(card: ModelCard, folder: Path) -> str | None:
    """The card's file variant, unless the folder was saved without variants."""
    there = card.variant and any(folder.glob(f"*/*.{card.variant}.*"))
    return card.variant if there else None


def _adapter(diffusers: Any, plan: LoadPlan, torch: Any) -> dict[str, Any]:
    if plan.adapter is None:
        return {}
    dtype = getattr(torch, plan.dtype["default"])
    adapter = diffusers.MotionAdapter.from_pretrained(
        plan.adapter, dtype=dtype, local_files_only=True
    )
    return {"motion_adapter": adapter}


def _set_scheduler(diffusers: Any, pipe: Any, card: ModelCard, plan: LoadPlan) -> None:
    choice = card.scheduler
    scheduler_class = getattr(diffusers, choice.name) if choice else type(pipe.scheduler)
    overrides = {**(choice.config if choice else {}), **plan.scheduler_config}
    if choice or overrides:
        pipe.scheduler = scheduler_class.from_config(pipe.scheduler.config, **overrides)


def _place(pipe: Any, card: ModelCard, plan: LoadPlan, torch: Any) -> Offload:
    offload = plan.offload
    if offload == "auto":
        offload = _decide_offload(card, plan.device, torch)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=plan.device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=plan.device)
    else:
        pipe.to(plan.device)
    return offload


def _decide_offload(card: ModelCard, device: str, torch: Any) -> Offload:
    """Keep everything on the GPU unless the card says that it does not fit."""
    if not device.startswith("cuda"):
        return "none"
    free_gib = torch.cuda.mem_get_info(device)[0] / 2**30
    return "none" if free_gib >= card.memory("none") else "model"


def _accelerate(pipe: Any, profile: Profile, traits: PipelineTraits, torch: Any) -> None:
    """Put a profile on every denoiser of the pipeline; Wan 2.2 A14B has two."""
    denoisers = [getattr(pipe, name, None) for name in ("transformer", "transformer_2", "unet")]
    for denoiser in filter(None, denoisers):
        if profile == "compiled":
            denoiser.compile()
        elif profile == "fast":
            denoiser.enable_cache(_cache_config(pipe, traits))
        elif profile == "fp8":
            denoiser.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=denoiser.dtype
            )


def _cache_config(pipe: Any, traits: PipelineTraits) -> Any:
    """FasterCache as diffusers documents it for CogVideoX; first-block cache elsewhere."""
    import diffusers

    library: Any = diffusers
    if traits.cache == "firstblock":
        return library.FirstBlockCacheConfig(threshold=0.05)
    return library.FasterCacheConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 681),
        unconditional_batch_skip_range=5,
        unconditional_batch_timestep_skip_range=(-1, 641),
        attention_weight_callback=lambda _: 0.3,
        current_timestep_callback=lambda: pipe.current_timestep,
        tensor_format="BFCHW",
    )
