"""The generator ``videocrafter2``."""

from __future__ import annotations

from collections.abc import Iterator
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
from ..clip_text import clean_text, fit, load_clip_tokenizer, token_ids
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

if TYPE_CHECKING:
    import torch

    from .model import VideoCrafter2Networks

_NAME = "videocrafter2"
_PADDING = 0
_LICENCE = "VideoCrafter2 licence: research and non-commercial use only (Apache-2.0, modified)"
_WEIGHTS = MissingFile("model.ckpt", 7.4)
_GPU_GIB = {"float32": 12.0, "float16": 6.0, "bfloat16": 6.0}


def videocrafter2(
    *,
    model: str = "VideoCrafter/VideoCrafter2",
    tokenizer: str = "openai/clip-vit-large-patch14",
    download: bool = False,
    frames: Annotated[int, Field(ge=1)] = 16,
    fps: Annotated[float, Field(gt=0)] = 10.0,
    motion_fps: Annotated[int, Field(ge=1)] = 28,
    width: Annotated[int, Field(ge=2)] = 512,
    height: Annotated[int, Field(ge=2)] = 320,
    steps: Annotated[int, Field(ge=1, le=1000)] = 50,
    guidance: float = 12.0,
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0,
    dtype: Dtype = "card",
    device: Device = "auto",
    over_budget: OverBudget = "error",
    text_heads: Annotated[int, Field(ge=1)] | None = None,
    allow_unpickling: bool = False,
) -> PortedGenerator:
    """VideoCrafter2 text-to-video at 320x512 from its public file ``model.ckpt``.

    A composition of diffusers' UNet and VAE and transformers' CLIP under the checkpoint's names,
    with the frame-rate branch and the sampler of the original. Defaults are those of the published
    command-line script.

    Args:
        model: Folder that holds ``model.ckpt``, the file itself, or a hub id in the hub cache.
        tokenizer: Folder or hub id of any CLIP tokenizer (``vocab.json``, ``merges.txt``).
        download: Whether hub repositories that are not on this machine may be downloaded.
        frames: Frames of a clip; the model was trained on 16.
        fps: Frame rate at which clips are played; the published script saves at 10.
        motion_fps: Frame rate that the model is told; it is independent of `fps` in the original.
        width: Pixels.
        height: Pixels.
        steps: Sampling steps; numbers that do not divide 1000 give some more.
        guidance: Guidance scale.
        eta: Share of fresh noise, 0 to 1.
        dtype: Precision; ``card`` is float32, in which the model was published.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        over_budget: What to do with a prompt above 77 tokens.
        text_heads: Attention heads of the text tower, which the file does not tell; one per 64
            channels by default.
        allow_unpickling: Whether a file that holds other objects than tensors may be read, which
            runs code from it.

    Raises:
        ConfigError: If an option is out of range or files are missing.
        MissingExtraError: If the libraries are not installed.
    """
    require_video_extra(_NAME)
    native = Video(frames, fps, width, height)
    check_playback(_NAME, native, native)
    placement = place(device, dtype, "float32")
    sampling = CrafterSampling(steps=steps, guidance=guidance, eta=eta, motion_fps=motion_fps)
    made = VideoCrafter2(
        weights=find_weights(_NAME, model, _WEIGHTS, download=download),
        tokenizer=require_files(_NAME, tokenizer, TOKENIZER_FILES, download=download),
        sampling=sampling,
        placement=placement,
        text_heads=text_heads,
        allow_unpickling=allow_unpickling,
    )
    info = describe_port(
        _NAME,
        revision="512-v2.0",
        licence=_LICENCE,
        native=native,
        placement=placement,
        over_budget=over_budget,
        gpu_gib=_GPU_GIB[placement.dtype],
        fingerprint={
            "generator": "videocrafter2-1",
            "weights": sampled_digest(made.weights),
            "tokenizer": checkpoint_digest(made.tokenizer, (".json", ".txt")),
            **asdict(sampling),
            "text_heads": text_heads,
        },
    )
    return PortedGenerator(made, info, native, over_budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrafterSampling:
    """How a clip is sampled; see :func:`videocrafter2`."""

    steps: int
    guidance: float
    eta: float
    motion_fps: int


class VideoCrafter2:
    """VideoCrafter2's files, and its networks once they are needed.

    Args:
        weights: ``model.ckpt``.
        tokenizer: Folder of a CLIP tokenizer.
        sampling: How clips are sampled.
        placement: Where they are computed.
        text_heads: Attention heads of the text tower, if not the default.
        allow_unpickling: Whether the weights may run code.
    """

    def __init__(
        self,
        *,
        weights: Path,
        tokenizer: Path,
        sampling: CrafterSampling,
        placement: Placement,
        text_heads: int | None,
        allow_unpickling: bool,
    ) -> None:
        self.weights, self.tokenizer = weights, tokenizer
        self._sampling, self._placement = sampling, placement
        self._text_heads, self._allow_unpickling = text_heads, allow_unpickling
        self._networks: VideoCrafter2Networks | None = None
        self._vocabulary: Any = None

    def ids(self, text: str) -> list[int]:
        """Start mark, tokens and end mark of a text, cleaned as OpenCLIP does."""
        if self._vocabulary is None:
            self._vocabulary = load_clip_tokenizer(self.tokenizer)
        return token_ids(self._vocabulary, clean_text(text))

    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return self.networks().size_multiple

    def make(self, request: ClipRequest, video: Video) -> Frames | Failure:
        """Make one clip."""
        import torch

        from .sampler import ddim_schedule

        networks, sampling = self.networks(), self._sampling
        rows = [fit(self.ids(text), _PADDING) for text in (request.text, "")]
        shape = (
            1,
            networks.unet.config.in_channels,
            video.frames,
            video.height // networks.vae_factor,
            video.width // networks.vae_factor,
        )
        noise = self._noise(request.seed, shape)
        with torch.inference_mode():
            ids = torch.tensor(rows, device=self._placement.device)
            latents = networks.sample(
                start=next(noise),
                noise=noise,
                texts=networks.encode_text(ids),
                fps=sampling.motion_fps,
                guidance=sampling.guidance,
                schedule=ddim_schedule(sampling.steps, sampling.eta),
            )
            pixels = (networks.decode(latents)[0].float() + 1) / 2
        return to_frames(
            pixels.permute(1, 2, 3, 0).cpu().numpy(), video.frames, video.fps, truncate=True
        )

    def networks(self) -> VideoCrafter2Networks:
        """The networks, loaded at the first call."""
        if self._networks is None:
            import torch

            from .model import load_crafter_networks

            networks = load_crafter_networks(
                self.weights,
                allow_unpickling=self._allow_unpickling,
                text_heads=self._text_heads,
            )
            for network in (networks.unet, networks.vae, networks.text):
                network.to(self._placement.device, getattr(torch, self._placement.dtype))
            self._networks = networks
        return self._networks

    def _noise(self, seed: int, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
        """The start noise, then one tensor per step, drawn on the CPU on every machine."""
        import torch

        generator = torch.Generator("cpu").manual_seed(seed)
        dtype = getattr(torch, self._placement.dtype)
        while True:
            yield torch.randn(shape, generator=generator).to(self._placement.device, dtype)
