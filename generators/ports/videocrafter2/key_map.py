"""Names of VideoCrafter2's tensors in the checkpoint, and in diffusers and transformers.

The UNet is diffusers' ``UNet3DConditionModel`` under other names, the VAE Stable Diffusion's in its
original naming, the text tower OpenCLIP's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."
_LEAVES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_TOP = {
    "time_embed.0": "time_embedding.time.linear_1",
    "time_embed.2": "time_embedding.time.linear_2",
    "fps_embedding.0": "time_embedding.fps.linear_1",
    "fps_embedding.2": "time_embedding.fps.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_CHILDREN = ("resnets", "attentions", "temp_attentions")
_MIDDLE = (("resnets", 0), ("attentions", 0), ("temp_attentions", 0), ("resnets", 1))
_TEXT = (
    ("transformer.resblocks.", "encoder.layers."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.out_proj.", ".self_attn.out_proj."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    ("token_embedding.", "embeddings.token_embedding."),
    ("ln_final.", "final_layer_norm."),
)


@dataclass(frozen=True, slots=True)
class UNetShape:
    """The sizes of a UNet, read from its tensors.

    Args:
        channels: Channels per level, finest first.
        layers: Residual blocks per level on the way down.
        attention: Per level, whether it has transformers.
        head_size: Channels per attention head.
        context: Width of the text embedding.
        latent: Channels of the latent video.
    """

    channels: tuple[int, ...]
    layers: int
    attention: tuple[bool, ...]
    head_size: int
    context: int
    latent: int


@dataclass(frozen=True, slots=True)
class VaeShape:
    """The sizes of a VAE: channels per level (finest first), blocks per level, latent channels."""

    channels: tuple[int, ...]
    layers: int
    latent: int


@dataclass(frozen=True, slots=True)
class TextShape:
    """The sizes of a text tower: width, blocks in the file, inner width, vocabulary, context."""

    width: int
    blocks: int
    inner: int
    vocabulary: int
    context: int


Shapes = Mapping[str, tuple[int, ...]]


def unet_shape(shapes: Shapes) -> UNetShape:
    """Read a UNet's sizes from its tensors' shapes (names without prefix)."""
    blocks = 1 + _last(shapes, r"input_blocks\.(\d+)\.")
    downs = [n for n in range(blocks) if f"input_blocks.{n}.0.op.weight" in shapes]
    levels = len(downs) + 1
    layers = (downs[0] if downs else blocks) - 1
    firsts = [1 + level * (layers + 1) for level in range(levels)]
    inner = shapes["init_attn.0.proj_in.weight"][0]
    attention = tuple(f"input_blocks.{n}.1.norm.weight" in shapes for n in firsts)
    return UNetShape(
        channels=tuple(shapes[f"input_blocks.{n}.0.out_layers.3.weight"][0] for n in firsts),
        layers=layers,
        attention=attention,
        head_size=inner // 8,  # the first transformer always has eight heads
        context=shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1],
        latent=shapes["input_blocks.0.0.weight"][1],
    )


def vae_shape(shapes: Shapes) -> VaeShape:
    """Read a VAE's sizes from its tensors' shapes (names without prefix)."""
    levels = 1 + _last(shapes, r"encoder\.down\.(\d+)\.")
    layers = 1 + _last(shapes, r"encoder\.down\.0\.block\.(\d+)\.")
    channels = tuple(shapes[f"encoder.down.{n}.block.0.conv1.weight"][0] for n in range(levels))
    return VaeShape(channels, layers, shapes["post_quant_conv.weight"][0])


def text_shape(shapes: Shapes) -> TextShape:
    """Read a text tower's sizes from its tensors' shapes (names without prefix)."""
    vocabulary, width = shapes["token_embedding.weight"]
    return TextShape(
        width=width,
        blocks=1 + _last(shapes, r"transformer\.resblocks\.(\d+)\."),
        inner=shapes["transformer.resblocks.0.mlp.c_fc.weight"][0],
        vocabulary=vocabulary,
        context=shapes["positional_embedding"][0],
    )


def unet_name(name: str, shape: UNetShape) -> str:
    """A UNet tensor's name in diffusers (``time_embedding`` holds the fps branch too)."""
    stem, _, leaf = name.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    place, _, rest = name.partition(".")
    if place == "init_attn":
        return f"transformer_in.{rest.partition('.')[2]}"
    if place == "middle_block":
        child, _, rest = rest.partition(".")
        kind, index = _MIDDLE[int(child)]
        return _inside("mid_block", kind, index, rest)
    block, child, rest = rest.split(".", 2)
    return _block_name(place, int(block), int(child), rest, shape)


def _block_name(place: str, block: int, child: int, rest: str, shape: UNetShape) -> str:
    if place == "input_blocks":
        level, index = divmod(block - 1, shape.layers + 1)
        if index == shape.layers:
            return f"down_blocks.{level}.downsamplers.0.conv.{rest.rpartition('.')[2]}"
        return _inside(f"down_blocks.{level}", _CHILDREN[child], index, rest)
    level, index = divmod(block, shape.layers + 1)
    if re.fullmatch(r"conv\.(weight|bias)", rest):
        return f"up_blocks.{level}.upsamplers.0.{rest}"
    return _inside(f"up_blocks.{level}", _CHILDREN[child], index, rest)


def _inside(block: str, kind: str, index: int, rest: str) -> str:
    if kind != "resnets":
        return f"{block}.{kind}.{index}.{rest}"
    if rest.startswith("temopral_conv."):  # the checkpoint's own spelling
        return f"{block}.temp_convs.{index}.{rest.partition('.')[2]}"
    stem, _, leaf = rest.rpartition(".")
    return f"{block}.resnets.{index}.{_LEAVES[stem]}.{leaf}"


def unet_tensors(tensors: Mapping[str, torch.Tensor], shape: UNetShape) -> dict[str, torch.Tensor]:
    """A UNet's tensors under diffusers' names; 1-wide convolutions become linear layers."""
    renamed = {unet_name(name, shape): tensor for name, tensor in tensors.items()}
    for name in ("transformer_in.proj_in.weight", "transformer_in.proj_out.weight"):
        renamed[name] = renamed[name].squeeze(-1)
    return renamed


def vae_tensors(tensors: Mapping[str, torch.Tensor], levels: int) -> dict[str, torch.Tensor]:
    """A VAE's tensors under diffusers' names."""
    renamed = {}
    for name, tensor in tensors.items():
        flat = ".attn_1." in name and tensor.ndim == 4
        renamed[vae_name(name, levels)] = tensor[:, :, 0, 0] if flat else tensor
    return renamed


def vae_name(name: str, levels: int) -> str:
    """A VAE tensor's name in diffusers; the decoder's levels count the other way round."""
    name = re.sub(
        r"decoder\.up\.(\d+)\.",
        lambda match: f"decoder.up_blocks.{levels - 1 - int(match[1])}.",
        name,
    )
    for pattern, replacement in (
        (r"encoder\.down\.(\d+)\.", r"encoder.down_blocks.\1."),
        (r"\.block\.(\d+)\.", r".resnets.\1."),
        (r"\.downsample\.", ".downsamplers.0."),
        (r"\.upsample\.", ".upsamplers.0."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
        (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
        (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"coder\.norm_out\.", "coder.conv_norm_out."),
    ):
        name = re.sub(pattern, replacement, name)
    return name


def text_tensors(tensors: Mapping[str, torch.Tensor], blocks: int) -> dict[str, torch.Tensor]:
    """A text tower's tensors under transformers' names, without its unused last block.

    The embedding is the penultimate block's, so the last one is in the file but never runs.
    """
    unused = (f"transformer.resblocks.{blocks - 1}.", "text_projection", "logit_scale", "attn_mask")
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(unused):
            continue
        if name == "positional_embedding":
            renamed["embeddings.position_embedding.weight"] = tensor
        elif ".attn.in_proj_" in name:
            renamed |= _split_projection(name, tensor)
        else:
            renamed[_text_name(name)] = tensor
    return renamed


def _text_name(name: str) -> str:
    for old, new in _TEXT:
        name = name.replace(old, new)
    return name


def _split_projection(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    stem, leaf = name.split(".attn.in_proj_")
    base = _text_name(f"{stem}.") + "self_attn."
    thirds = tensor.chunk(3)
    return {f"{base}{part}_proj.{leaf}": third for part, third in zip("qkv", thirds, strict=True)}


def _last(names: Iterable[str], pattern: str) -> int:
    found = (re.match(pattern, name) for name in names)
    return max(int(match[1]) for match in found if match)
