"""The generator ``lavie``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from phybench.contracts import ClipRequest, Failure, Frames, PluginInfo
from phybench.generators.checkpoint_files import (
    MissingFile,
    find_weights,
    folder_digest,
    require_files,
    sampled_digest,
)
from phybench.generators.clip_text import CONTEXT, fit, load_clip_tokenizer, token_ids
from phybench.generators.device import accelerator, resolve_device
from phybench.generators.lavie.model import SamplerName
from phybench.generators.pixels import to_frames
from phybench.generators.port_plugin import (
    TOKENIZER_FILES,
    Dtype,
    OverBudget,
    check_plan,
    check_playback,
    generate_each,
    library_versions,
    precision,
    require_video_extra,
)
from phybench.generators.video_settings import Video

if TYPE_CHECKING:
    from phybench.generators.lavie.model import LaVieNetworks
    from phybench.plan import Plan

_NAME = "lavie"
_WEIGHTS = MissingFile("lavie_base.pt", 3.64)
_BASE = "stable-diffusion-v1-4"
_BASE_FILES = (
    MissingFile("unet/config.json"),
    MissingFile("vae/config.json"),
    MissingFile("vae/diffusion_pytorch_model.*", 0.33),
    MissingFile("text_encoder/config.json"),
    MissingFile("text_encoder/*model.*", 0.49),
    *(MissingFile(f"tokenizer/{file.name}", file.size_gb) for file in TOKENIZER_FILES),
)
_LICENCE = (
    "LaVie weights: free for academic research, commercial use on application; "
    "Stable Diffusion 1.4 parts: CreativeML OpenRAIL-M"
)
_GPU_GIB = {"float32": 8.0, "float16": 4.0, "bfloat16": 4.0}


class LaVie:
    """LaVie base text-to-video at 320x512 from its public file ``lavie_base.pt``.

    Stable Diffusion 1.4 as diffusers and transformers have it, with LaVie's attention over frames
    and clip-wide norms. Defaults are those of the published configuration.

    Args:
        model: Folder that holds ``lavie_base.pt``, the file itself, or a hub id in the hub cache.
        base: Folder or hub id of Stable Diffusion 1.4 in diffusers layout; by default the folder
            ``stable-diffusion-v1-4`` beside the weights, else ``CompVis/stable-diffusion-v1-4``.
        download: Whether hub repositories that are not on this machine may be downloaded.
        frames: Frames of a clip; the model was trained on 16.
        fps: Frame rate at which clips are played.
        width: Pixels.
        height: Pixels.
        sampler: ``ddpm`` (published default), ``ddim`` or ``eulerdiscrete``.
        steps: Sampling steps.
        guidance: Guidance scale.
        dtype: Precision; ``card`` is float16, in which the model was published, float32 on a CPU.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        over_budget: What to do with a prompt above 77 tokens.
        allow_unpickling: Whether a file that holds other objects than tensors may be read, which
            runs code from it.

    Raises:
        ConfigError: If an option is out of range or files are missing.
        MissingExtraError: If the libraries are not installed.
    """

    def __init__(
        self,
        *,
        model: str = "Vchitect/LaVie",
        base: str = "",
        download: bool = False,
        frames: Annotated[int, Field(ge=1)] = 16,
        fps: Annotated[float, Field(gt=0)] = 8.0,
        width: Annotated[int, Field(ge=2)] = 512,
        height: Annotated[int, Field(ge=2)] = 320,
        sampler: SamplerName = "ddpm",
        steps: Annotated[int, Field(ge=1, le=1000)] = 50,
        guidance: float = 7.5,
        dtype: Dtype = "card",
        device: str = "auto",
        over_budget: OverBudget = "error",
        allow_unpickling: bool = False,
    ) -> None:
        require_video_extra(_NAME)
        self._native = Video(frames, fps, width, height)
        check_playback(_NAME, self._native, self._native)
        self._sampler, self._steps, self._guidance = sampler, steps, guidance
        self._device = resolve_device(device)
        self._dtype = precision(dtype, "float16", self._device)
        self._over_budget = over_budget
        self._allow_unpickling = allow_unpickling
        self._weights = find_weights(_NAME, model, _WEIGHTS, download=download)
        self._base = require_files(
            _NAME, base or _default_base(self._weights), _BASE_FILES, download=download
        )
        self._networks: LaVieNetworks | None = None
        self._tokenizer: Any = None

    @property
    def info(self) -> PluginInfo:
        """Name, licence, native video and everything that decides about pixels."""
        native = self._native
        return PluginInfo(
            name=_NAME,
            revision="base",
            licence=_LICENCE,
            fingerprint={
                "generator": "lavie-1",
                "weights": sampled_digest(self._weights),
                **{
                    part: folder_digest(self._base / part)
                    for part in ("vae", "text_encoder", "tokenizer")
                },
                "unet": sampled_digest(self._base / "unet" / "config.json"),
                "native": [native.frames, native.fps, native.width, native.height],
                "sampler": self._sampler,
                "steps": self._steps,
                "guidance": self._guidance,
                "dtype": self._dtype,
                "device": accelerator(self._device),
                "over_budget": self._over_budget,
                "versions": library_versions(),
            },
            video=native.settings(),
            prompt_budget=CONTEXT,
            extra="video",
            gpu_gib=0.0 if self._device == "cpu" else _GPU_GIB[self._dtype],
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """CLIP tokens of each text, start and end mark included."""
        return [len(self._ids(text)) for text in texts]

    def check(self, plan: Plan) -> list[str]:
        """Video settings and known texts of a plan that would fail."""
        return check_plan(_NAME, plan, self._native, self._over_budget, self.count_tokens)

    def generate(self, requests: Sequence[ClipRequest]) -> list[Frames | Failure]:
        """Make one clip per request; a request that cannot be met gives a failure."""
        tokens = self.count_tokens([request.text for request in requests])
        multiple = self._load().size_multiple
        return generate_each(
            _NAME, requests, tokens, self._over_budget, self._native, multiple, self._clip
        )

    def _ids(self, text: str) -> list[int]:
        if self._tokenizer is None:
            self._tokenizer = load_clip_tokenizer(self._base / "tokenizer")
        return token_ids(self._tokenizer, text)

    def _clip(self, request: ClipRequest, video: Video) -> Frames | Failure:
        import torch

        from phybench.generators.lavie.model import make_scheduler

        networks = self._load()
        rows = [fit(ids, ids[-1]) for ids in (self._ids(request.text), self._ids(""))]
        factor = networks.vae_factor
        with torch.inference_mode():
            latents = networks.sample(
                shape=(
                    1,
                    networks.unet.config.in_channels,
                    video.frames,
                    video.height // factor,
                    video.width // factor,
                ),
                texts=networks.encode_text(torch.tensor(rows, device=self._device)),
                guidance=self._guidance,
                scheduler=make_scheduler(self._sampler, self._steps),
                generator=torch.Generator("cpu").manual_seed(request.seed),
            )
            pixels = networks.decode(latents)[0].float() / 2 + 0.5
        return to_frames(pixels.permute(1, 2, 3, 0).cpu().numpy(), video.frames, video.fps)

    def _load(self) -> LaVieNetworks:
        if self._networks is None:
            import torch

            from phybench.generators.lavie.model import load_networks, place

            networks = load_networks(
                self._weights, self._base, allow_unpickling=self._allow_unpickling
            )
            place(networks, self._device, getattr(torch, self._dtype))
            self._networks = networks
        return self._networks


def _default_base(weights: Path) -> str:
    beside = weights.parent / _BASE
    return str(beside) if beside.is_dir() else f"CompVis/{_BASE}"
