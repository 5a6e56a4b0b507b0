"""The generator ``lavie``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from phybench.machine.devices import Device
from phybench.plugins.contracts import ClipRequest, Failure, Frames

from ...checkpoint_files import (
    MissingFile,
    checkpoint_digest,
    find_weights,
    require_files,
    sampled_digest,
)
from ...pixels import to_frames
from ...video_settings import Video
from ..clip_text import fit, load_clip_tokenizer, token_ids
from ..plugin import (
    TOKENIZER_FILES,
    Dtype,
    OverBudget,
    Placement,
    PortedGenerator,
    check_playback,
    describe_port,
    place,
    require_video_extra,
)
from .model import SamplerName

if TYPE_CHECKING:
    from .model import LaVieNetworks

_NAME = "lavie"
_WEIGHTS = MissingFile("lavie_base.pt", 3.64)
_BASE = "stable-diffusion-v1-4"
_BASE_PARTS = ("vae", "text_encoder", "tokenizer")
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


def lavie(
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
    device: Device = "auto",
    over_budget: OverBudget = "error",
    allow_unpickling: bool = False,
) -> PortedGenerator:
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
    require_video_extra(_NAME)
    native = Video(frames, fps, width, height)
    check_playback(_NAME, native, native)
    placement = place(device, dtype, "float16")
    sampling = LavieSampling(sampler=sampler, steps=steps, guidance=guidance)
    weights = find_weights(_NAME, model, _WEIGHTS, download=download)
    made = LaVie(
        weights=weights,
        base=require_files(_NAME, base or _default_base(weights), _BASE_FILES, download=download),
        sampling=sampling,
        placement=placement,
        allow_unpickling=allow_unpickling,
    )
    info = describe_port(
        _NAME,
        revision="base",
        licence=_LICENCE,
        native=native,
        placement=placement,
        over_budget=over_budget,
        gpu_gib=_GPU_GIB[placement.dtype],
        fingerprint={
            "generator": "lavie-1",
            "weights": sampled_digest(weights),
            **{part: checkpoint_digest(made.base / part) for part in _BASE_PARTS},
            "unet": sampled_digest(made.base / "unet" / "config.json"),
            **asdict(sampling),
        },
    )
    return PortedGenerator(made, info, native, over_budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class LavieSampling:
    """How a clip is sampled; see :func:`lavie`."""

    sampler: SamplerName
    steps: int
    guidance: float


class LaVie:
    """LaVie's files, and its networks once they are needed.

    Args:
        weights: ``lavie_base.pt``.
        base: Folder of Stable Diffusion 1.4.
        sampling: How clips are sampled.
        placement: Where they are computed.
        allow_unpickling: Whether the weights may run code.
    """

    def __init__(
        self,
        *,
        weights: Path,
        base: Path,
        sampling: LavieSampling,
        placement: Placement,
        allow_unpickling: bool,
    ) -> None:
        self.weights, self.base = weights, base
        self._sampling, self._placement = sampling, placement
        self._allow_unpickling = allow_unpickling
        self._networks: LaVieNetworks | None = None
        self._vocabulary: Any = None

    def ids(self, text: str) -> list[int]:
        """Start mark, tokens and end mark of a text."""
        if self._vocabulary is None:
            self._vocabulary = load_clip_tokenizer(self.base / "tokenizer")
        return token_ids(self._vocabulary, text)

    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return self.networks().size_multiple

    def make(self, request: ClipRequest, video: Video) -> Frames | Failure:
        """Make one clip."""
        import torch

        from .model import make_scheduler

        networks, sampling = self.networks(), self._sampling
        rows = [fit(ids, ids[-1]) for ids in (self.ids(request.text), self.ids(""))]
        shape = (
            1,
            networks.unet.config.in_channels,
            video.frames,
            video.height // networks.vae_factor,
            video.width // networks.vae_factor,
        )
        with torch.inference_mode():
            ids = torch.tensor(rows, device=self._placement.device)
            latents = networks.sample(
                shape=shape,
                texts=networks.encode_text(ids),
                guidance=sampling.guidance,
                scheduler=make_scheduler(sampling.sampler, sampling.steps),
                generator=torch.Generator("cpu").manual_seed(request.seed),
            )
            pixels = networks.decode(latents)[0].float() / 2 + 0.5
        return to_frames(pixels.permute(1, 2, 3, 0).cpu().numpy(), video.frames, video.fps)

    def networks(self) -> LaVieNetworks:
        """The networks, loaded at the first call."""
        if self._networks is None:
            import torch

            from .model import load_lavie_networks, move

            networks = load_lavie_networks(
                self.weights, self.base, allow_unpickling=self._allow_unpickling
            )
            move(networks, self._placement.device, getattr(torch, self._placement.dtype))
            self._networks = networks
        return self._networks


def _default_base(weights: Path) -> str:
    beside = weights.parent / _BASE
    return str(beside) if beside.is_dir() else f"CompVis/{_BASE}"
