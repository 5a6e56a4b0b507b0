"""The generator ``videocrafter2``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from phybench.generators.clip_text import CONTEXT, clean, fit, load_clip_tokenizer, token_ids
from phybench.generators.device import accelerator, resolve_device
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
    import torch

    from phybench.generators.videocrafter2.model import VideoCrafter2Networks
    from phybench.plan import Plan

_NAME = "videocrafter2"
_PADDING = 0
_LICENCE = "VideoCrafter2 licence: research and non-commercial use only (Apache-2.0, modified)"
_WEIGHTS = MissingFile("model.ckpt", 7.4)
_GPU_GIB = {"float32": 12.0, "float16": 6.0, "bfloat16": 6.0}


class VideoCrafter2:
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

    def __init__(
        self,
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
        device: str = "auto",
        over_budget: OverBudget = "error",
        text_heads: Annotated[int, Field(ge=1)] | None = None,
        allow_unpickling: bool = False,
    ) -> None:
        require_video_extra(_NAME)
        self._native = Video(frames, fps, width, height)
        check_playback(_NAME, self._native, self._native)
        self._sampling = {
            "steps": steps,
            "guidance": guidance,
            "eta": eta,
            "motion_fps": motion_fps,
        }
        self._device = resolve_device(device)
        self._dtype = precision(dtype, "float32", self._device)
        self._over_budget = over_budget
        self._text_heads = text_heads
        self._allow_unpickling = allow_unpickling
        self._weights = find_weights(_NAME, model, _WEIGHTS, download=download)
        self._tokenizer_folder = require_files(_NAME, tokenizer, TOKENIZER_FILES, download=download)
        self._networks: VideoCrafter2Networks | None = None
        self._tokenizer: Any = None

    @property
    def info(self) -> PluginInfo:
        """Name, licence, native video and everything that decides about pixels."""
        native = self._native
        return PluginInfo(
            name=_NAME,
            revision="512-v2.0",
            licence=_LICENCE,
            fingerprint={
                "generator": "videocrafter2-1",
                "weights": sampled_digest(self._weights),
                "tokenizer": folder_digest(self._tokenizer_folder, (".json", ".txt")),
                "native": [native.frames, native.fps, native.width, native.height],
                **self._sampling,
                "dtype": self._dtype,
                "device": accelerator(self._device),
                "over_budget": self._over_budget,
                "text_heads": self._text_heads,
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
            self._tokenizer = load_clip_tokenizer(self._tokenizer_folder)
        return token_ids(self._tokenizer, clean(text))

    def _clip(self, request: ClipRequest, video: Video) -> Frames | Failure:
        import torch

        from phybench.generators.videocrafter2.sampler import ddim_schedule

        networks = self._load()
        rows = [fit(self._ids(text), _PADDING) for text in (request.text, "")]
        shape = (
            1,
            networks.unet.config.in_channels,
            video.frames,
            video.height // networks.vae_factor,
            video.width // networks.vae_factor,
        )
        noise = self._noise(request.seed, shape)
        with torch.inference_mode():
            latents = networks.sample(
                start=next(noise),
                noise=noise,
                texts=networks.encode_text(torch.tensor(rows, device=self._device)),
                fps=int(self._sampling["motion_fps"]),
                guidance=self._sampling["guidance"],
                schedule=ddim_schedule(int(self._sampling["steps"]), self._sampling["eta"]),
            )
            pixels = (networks.decode(latents)[0].float() + 1) / 2
        return to_frames(
            pixels.permute(1, 2, 3, 0).cpu().numpy(), video.frames, video.fps, truncate=True
        )

    def _noise(self, seed: int, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
        """The start noise, then one tensor per step, drawn on the CPU on every machine."""
        import torch

        generator = torch.Generator("cpu").manual_seed(seed)
        dtype = getattr(torch, self._dtype)
        while True:
            yield torch.randn(shape, generator=generator).to(self._device, dtype)

    def _load(self) -> VideoCrafter2Networks:
        if self._networks is None:
            import torch

            from phybench.generators.videocrafter2.model import load_networks

            networks = load_networks(
                self._weights,
                allow_unpickling=self._allow_unpickling,
                text_heads=self._text_heads,
            )
            for network in (networks.unet, networks.vae, networks.text):
                network.to(self._device, getattr(torch, self._dtype))
            self._networks = networks
        return self._networks
