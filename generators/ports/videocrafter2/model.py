"""VideoCrafter2's networks, built to the sizes of a checkpoint and filled from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.errors import ConfigError

from ..torch_files import load_strictly, load_tensors
from .key_map import (
    TEXT,
    UNET,
    VAE,
    TextShape,
    UNetShape,
    VaeShape,
    text_shape,
    text_tensors,
    unet_shape,
    unet_tensors,
    vae_shape,
    vae_tensors,
)
from .sampler import (
    DdimSchedule,
    noise_schedule,
    rescale_table,
    sample,
)

if TYPE_CHECKING:
    import torch

LATENT_SCALE = 0.18215
_GROUPS = 32
_BUFFERS = ("betas", "alphas_", "sqrt_", "log_one_minus_", "posterior_", "scale_arr")
_DEEPSPEED_PREFIX = 16


@dataclass(frozen=True, slots=True)
class VideoCrafter2Networks:
    """The three networks, ready to run.

    Args:
        unet: Denoiser; takes the sinusoid of the frame rate as ``timestep_cond``.
        vae: Decoder of single frames.
        text: Text encoder up to the penultimate block.
    """

    unet: Any
    vae: Any
    text: Any

    @property
    def size_multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        return int(self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def vae_factor(self) -> int:
        """Pixels per latent position."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, 77), padded with 0, to embeddings (B, 77, width); no padding mask."""
        embeddings: torch.Tensor = self.text(input_ids=ids).last_hidden_state
        return embeddings

    def predict_noise(
        self, latents: torch.Tensor, timestep: torch.Tensor, fps: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """Noise in latents (B, 4, T, h, w) at timesteps (B,), frame rates (B,) and texts."""
        rate = self.unet.time_proj(fps).to(latents.dtype)
        predicted: torch.Tensor = self.unet(
            latents, timestep, encoder_hidden_states=text, timestep_cond=rate
        ).sample
        return predicted

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, 4, T, h, w) to pixels (B, 3, T, H, W) in [-1, 1], frame by frame."""
        import torch

        frames = [self.vae.decode(frame / LATENT_SCALE).sample for frame in latents.unbind(2)]
        return torch.stack(frames, 2)

    def sample(
        self,
        start: torch.Tensor,
        noise: Iterator[torch.Tensor],
        texts: torch.Tensor,
        fps: int,
        guidance: float,
        schedule: DdimSchedule,
    ) -> torch.Tensor:
        """Denoise with classifier-free guidance.

        Args:
            start: Noise of shape (1, 4, T, h, w).
            noise: One such tensor per step.
            texts: Embeddings of the prompt and of the empty text, (2, 77, width).
            fps: Frame rate that both branches are told.
            guidance: Weight of the prompt's direction.
            schedule: Steps of the sampler.
        """
        import torch

        rate = torch.tensor([fps], device=start.device)

        def guided(latents: torch.Tensor, step: int) -> torch.Tensor:
            timestep = torch.tensor([step], device=latents.device)
            with_text = self.predict_noise(latents, timestep, rate, texts[:1])
            without = self.predict_noise(latents, timestep, rate, texts[1:])
            return without + guidance * (with_text - without)

        return sample(guided, start, noise, schedule)


def load_crafter_networks(
    path: Path, *, allow_unpickling: bool = False, text_heads: int | None = None
) -> VideoCrafter2Networks:
    """Load ``model.ckpt``; the sizes come from the tensors themselves.

    Raises:
        ConfigError: If the file is unsafe, incomplete, or holds tensors of another model.
    """
    state = _state_dict(load_tensors(path, allow_unpickling=allow_unpickling))
    return networks_from(state, text_heads)


def networks_from(
    state: Mapping[str, torch.Tensor], text_heads: int | None = None
) -> VideoCrafter2Networks:
    """Build the networks and consume every tensor of a state dict exactly once.

    Args:
        state: Tensors under their names in the checkpoint.
        text_heads: Attention heads of the text tower, which no tensor tells; by default one per 64
            channels as in OpenCLIP, and 4 in towers too small for that.

    Raises:
        ConfigError: If tensors are missing or left over.
    """
    parts = {prefix: _part(state, prefix) for prefix in (UNET, VAE, TEXT)}
    known = (*parts, *_BUFFERS)
    if unknown := [name for name in state if not name.startswith(known)]:
        raise ConfigError(f"The checkpoint holds tensors of another model: {unknown[:5]}.")
    _check_schedule(state)
    return VideoCrafter2Networks(
        unet=load_crafter_unet(parts[UNET]),
        vae=load_vae(parts[VAE]),
        text=load_text(parts[TEXT], text_heads),
    )


def _state_dict(loaded: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    if "state_dict" in loaded:
        return dict(loaded["state_dict"])
    if "module" in loaded:
        return {name[_DEEPSPEED_PREFIX:]: tensor for name, tensor in loaded["module"].items()}
    return loaded


def _part(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    part = {n.removeprefix(prefix): t.float() for n, t in state.items() if n.startswith(prefix)}
    if not part:
        raise ConfigError(f"Expected the checkpoint to hold tensors `{prefix}…`, but it has none.")
    return part


def _check_schedule(state: Mapping[str, torch.Tensor]) -> None:
    """Refuse a checkpoint that was trained with another noise schedule or rescaling than ours."""
    import torch

    if "alphas_cumprod" not in state:
        return  # weights alone: nothing is said of the schedule
    for name, ours in (("alphas_cumprod", noise_schedule()), ("scale_arr", rescale_table())):
        stored = state.get(name)
        if stored is None or stored.shape != ours.shape:
            raise ConfigError(f"Expected the checkpoint's `{name}` to have {len(ours)} entries.")
        if not torch.allclose(stored.float(), ours, atol=1e-3):
            raise ConfigError(f"The checkpoint was trained with another schedule (`{name}`).")


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def load_crafter_unet(tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The denoiser, from its tensors without prefix."""
    import torch

    try:
        shape = unet_shape(_shapes(tensors))
        renamed = unet_tensors(tensors, shape)
    except (KeyError, StopIteration, ValueError, IndexError) as error:
        raise ConfigError(f"The checkpoint does not fit the UNet: no {error}.") from error
    with torch.device("meta"):
        unet = build_crafter_unet(shape)
    return load_strictly(unet, renamed, "UNet")


def build_crafter_unet(shape: UNetShape) -> Any:
    """Diffusers' ``UNet3DConditionModel`` with a frame-rate branch in its time embedding."""
    import diffusers

    from .embedding import TimeAndRateEmbedding

    library: Any = diffusers
    unet = library.UNet3DConditionModel(
        in_channels=shape.latent,
        out_channels=shape.latent,
        down_block_types=tuple(_block("Down", attends) for attends in shape.attention),
        up_block_types=tuple(_block("Up", attends) for attends in reversed(shape.attention)),
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        cross_attention_dim=shape.context,
        attention_head_dim=shape.head_size,
        norm_num_groups=_GROUPS,
    )
    unet.time_embedding = TimeAndRateEmbedding(shape.channels[0])
    return unet


def _block(way: str, attends: bool) -> str:
    return f"CrossAttn{way}Block3D" if attends else f"{way}Block3D"


def load_vae(tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The frame decoder, from its tensors without prefix."""
    import torch

    try:
        shape = vae_shape(_shapes(tensors))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"The checkpoint does not fit the VAE: no {error}.") from error
    with torch.device("meta"):
        vae = build_vae(shape)
    return load_strictly(vae, vae_tensors(tensors, len(shape.channels)), "VAE")


def build_vae(shape: VaeShape) -> Any:
    """Diffusers' ``AutoencoderKL`` of the given sizes."""
    import diffusers

    library: Any = diffusers
    levels = len(shape.channels)
    return library.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        latent_channels=shape.latent,
        norm_num_groups=_GROUPS,
    )


def load_text(tensors: Mapping[str, torch.Tensor], heads: int | None) -> torch.nn.Module:
    """The text encoder, from its tensors without prefix."""
    import torch

    try:
        shape = text_shape(_shapes(tensors))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"The checkpoint does not fit the text tower: no {error}.") from error
    heads = heads or _default_heads(shape.width)
    if shape.width % heads:
        raise ConfigError(
            f"Expected `text_heads` to divide the text tower's width {shape.width}, but got "
            f"{heads}."
        )
    with torch.device("meta"):
        text = build_text(shape, heads)
    # Position ids are no weights: they are built anew, because the meta device holds no values.
    text.embeddings.position_ids = torch.arange(shape.context)[None]
    return load_strictly(text, text_tensors(tensors, shape.blocks), "text tower")


def _default_heads(width: int) -> int:
    return width // 64 if width >= 256 else 4


def build_text(shape: TextShape, heads: int) -> Any:
    """Transformers' ``CLIPTextModel`` without the unused last block."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.blocks - 1,
            num_attention_heads=heads,
            max_position_embeddings=shape.context,
            hidden_act="gelu",
            layer_norm_eps=1e-5,
            bos_token_id=shape.vocabulary - 2,
            eos_token_id=shape.vocabulary - 1,
        )
    )
