"""LaVie's networks: Stable Diffusion 1.4's, with the UNet extended over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from phybench.errors import ConfigError
from phybench.machine.files import read_json

from ..torch_files import load_strictly, load_tensors

if TYPE_CHECKING:
    import torch

    from .temporal import ClipLayout

LATENT_SCALE = 0.18215
SamplerName = Literal["ddpm", "ddim", "eulerdiscrete"]
_BETAS: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}


@dataclass(frozen=True, slots=True)
class LaVieNetworks:
    """The networks, ready to run.

    Args:
        unet: Denoiser of frames, extended over clips.
        layout: What the denoiser's modules know of the clip's length.
        vae: Decoder of single frames.
        text: CLIP text encoder.
    """

    unet: Any
    layout: ClipLayout
    vae: Any
    text: Any

    @property
    def vae_factor(self) -> int:
        """Pixels per latent position."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return int(self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1))

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, 77), padded with the end mark, to embeddings (B, 77, width)."""
        embeddings: torch.Tensor = self.text(input_ids=ids).last_hidden_state
        return embeddings

    def predict_noise(
        self, latents: torch.Tensor, timestep: torch.Tensor | float, text: torch.Tensor
    ) -> torch.Tensor:
        """Noise in latents (B, 4, F, h, w) at one timestep, for texts (B, 77, width)."""
        frames = latents.shape[2]
        self.layout.frames = frames
        predicted: torch.Tensor = self.unet(
            latents.transpose(1, 2).flatten(0, 1),
            timestep,
            encoder_hidden_states=text.repeat_interleave(frames, 0),
        ).sample
        return predicted.reshape(-1, frames, *predicted.shape[1:]).transpose(1, 2)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, 4, F, h, w) to pixels (B, 3, F, H, W) in [-1, 1], frame by frame."""
        import torch

        frames = [self.vae.decode(frame / LATENT_SCALE).sample for frame in latents.unbind(2)]
        return torch.stack(frames, 2)

    def sample(
        self,
        shape: Sequence[int],
        texts: torch.Tensor,
        guidance: float,
        scheduler: Any,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Denoise one clip with classifier-free guidance.

        Args:
            shape: Of the latents, (1, 4, F, h, w).
            texts: Embeddings of the prompt and of the empty text, (2, 77, width).
            guidance: Weight of the prompt's direction.
            scheduler: A diffusers scheduler with its timesteps set.
            generator: Source of the start noise and then of each step's, on the CPU.
        """
        import torch

        start = torch.randn(tuple(shape), generator=generator).to(texts.device, texts.dtype)
        latents: torch.Tensor = start * scheduler.init_noise_sigma
        without_first = texts.flip(0)
        for step in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, step)
            without, with_text = self.predict_noise(
                scaled.expand(2, *shape[1:]), step, without_first
            ).chunk(2)
            guided = without + guidance * (with_text - without)
            latents = scheduler.step(guided, step, latents, generator=generator).prev_sample
        return latents


def make_scheduler(name: SamplerName, steps: int) -> Any:
    """A sampler as the published code runs it.

    ``ddpm`` is the published default. The step offset of Stable Diffusion's scheduler file has no
    effect on it there (diffusers 0.16 ignored it), but has on ``ddim``.
    """
    import diffusers

    library: Any = diffusers
    if name == "ddpm":
        scheduler = library.DDPMScheduler(
            **_BETAS,
            variance_type="fixed_small",
            clip_sample=False,
            timestep_spacing="leading",
            steps_offset=0,
        )
    elif name == "ddim":
        scheduler = library.DDIMScheduler(
            **_BETAS,
            clip_sample=False,
            set_alpha_to_one=False,
            timestep_spacing="leading",
            steps_offset=1,
        )
    else:
        scheduler = library.EulerDiscreteScheduler(**_BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    return scheduler


def load_lavie_networks(
    weights: Path, base: Path, *, allow_unpickling: bool = False
) -> LaVieNetworks:
    """Load ``lavie_base.pt`` and the Stable Diffusion 1.4 folder it builds on.

    Raises:
        ConfigError: If a file is unsafe, incomplete or of another model.
    """
    import diffusers
    import transformers

    text_model: Any = transformers.CLIPTextModel
    loaded = load_tensors(weights, allow_unpickling=allow_unpickling)
    library: Any = diffusers
    unet, layout = load_lavie_unet(
        loaded.get("ema", loaded), read_json(base / "unet" / "config.json")
    )
    vae = library.AutoencoderKL.from_pretrained(base / "vae", local_files_only=True)
    text = text_model.from_pretrained(base / "text_encoder", local_files_only=True)
    return LaVieNetworks(unet, layout, vae.eval(), text.eval())


def load_lavie_unet(
    tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> tuple[Any, ClipLayout]:
    """The denoiser from its tensors, each consumed exactly once.

    Args:
        tensors: Under the names of the checkpoint, which are diffusers'.
        config: Stable Diffusion's UNet configuration.

    Raises:
        ConfigError: If tensors are missing, left over or of another shape.
    """
    import torch

    with torch.device("meta"):
        unet, layout = build_lavie_unet(config)
    filled = {name: tensor.float() for name, tensor in tensors.items()}
    return load_strictly(unet, filled, "UNet"), layout


def build_lavie_unet(config: Mapping[str, Any]) -> tuple[Any, ClipLayout]:
    """Diffusers' ``UNet2DConditionModel`` with its blocks and norms extended over the clip.

    Raises:
        ConfigError: If the configuration gives no number of heads.
    """
    import diffusers
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.resnet import ResnetBlock2D

    from .temporal import (
        ROTARY_DIMENSIONS,
        ClipGroupNorm,
        ClipLayout,
        ClipTransformerBlock,
    )

    library: Any = diffusers
    unet = library.UNet2DConditionModel.from_config(dict(config))
    heads = unet.config.attention_head_dim  # in this configuration, the number of heads
    if not isinstance(heads, int):
        raise ConfigError(f"Expected `attention_head_dim` to be a whole number, but got {heads}.")
    layout = ClipLayout()
    for module in list(unet.modules()):
        if isinstance(module, ResnetBlock2D):
            for norm in ("norm1", "norm2"):
                setattr(module, norm, ClipGroupNorm(getattr(module, norm), layout))
    unet.conv_norm_out = ClipGroupNorm(unet.conv_norm_out, layout)
    for name, block in list(unet.named_modules()):
        if isinstance(block, BasicTransformerBlock):
            width = block.attn1.to_q.in_features
            if width < heads * ROTARY_DIMENSIONS:
                raise ConfigError(
                    f"Expected heads of at least {ROTARY_DIMENSIONS} channels, which LaVie "
                    f"rotates, but `{name}` has {heads} heads of {width // heads}."
                )
            unet.set_submodule(name, ClipTransformerBlock(block, width, heads, layout))
    return unet, layout


def move(networks: LaVieNetworks, device: str, dtype: torch.dtype) -> None:
    """Move the networks; the rotation's frequencies stay in float32, where they are exact."""
    from .temporal import RotaryEmbedding

    rotations = [m for m in networks.unet.modules() if isinstance(m, RotaryEmbedding)]
    exact = [rotation.freqs.data.clone() for rotation in rotations]
    for network in (networks.unet, networks.vae, networks.text):
        network.to(device, dtype)
    for rotation, freqs in zip(rotations, exact, strict=True):
        rotation.freqs.data = freqs.to(device)
