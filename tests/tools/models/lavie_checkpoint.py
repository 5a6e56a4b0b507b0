"""A small checkpoint in the layout of LaVie, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tools.models.original_names as names
from tools.models.pipelines.encoders import clip_encoder, sd_vae
from tools.models.pipelines.tokenizers import save_clip_tokenizer
from tools.models.random_weights import random_tensors

FREQUENCIES = 10000.0 ** (-torch.arange(0, 32, 2) / 32)


BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


def config(channels: tuple[int, ...], heads: int, layers: int, context: int) -> dict[str, Any]:
    """Stable Diffusion 1.4's UNet configuration at another size."""
    levels = len(channels)
    return {
        "_class_name": "UNet2DConditionModel",
        "act_fn": "silu",
        "attention_head_dim": heads,
        "block_out_channels": list(channels),
        "center_input_sample": False,
        "cross_attention_dim": context,
        "down_block_types": ["CrossAttnDownBlock2D"] * (levels - 1) + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (levels - 1),
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": layers,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-5,
        "norm_num_groups": 8,
        "sample_size": 8,
    }


def random_unet(
    channels: tuple[int, ...] = (64, 64), layers: int = 1, heads: int = 2, context: int = 8
) -> dict[str, Any]:
    torch.manual_seed(2)
    made = random_tensors(names.lavie_unet(channels, layers, heads, context))
    return {n: FREQUENCIES.clone() if n.endswith("freqs") else t for n, t in made.items()}


def write_checkpoint(
    folder: Path,
    *,
    channels: tuple[int, ...] = (64, 64),
    layers: int = 1,
    heads: int = 2,
    context: int = 8,
    groups: int = 8,
    vae: tuple[int, ...] = (8, 8),
    saved_as: str = "bin",
) -> None:
    """The public layout: weights, and Stable Diffusion 1.4 in a folder beside them."""
    torch.save(random_unet(channels, layers, heads, context), folder / "lavie_base.pt")
    base = folder / "stable-diffusion-v1-4"
    (base / "unet").mkdir(parents=True)
    unet = {**config(channels, heads, layers, context), "norm_num_groups": groups}
    (base / "unet" / "config.json").write_text(json.dumps(unet))
    torch.manual_seed(3)
    safe = saved_as == "safetensors"
    decoder = sd_vae(vae)
    decoder.save_pretrained(base / "vae", safe_serialization=safe)
    clip_encoder(context).save_pretrained(base / "text_encoder")
    save_clip_tokenizer(base / "tokenizer")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lavie")
    write_checkpoint(folder)
    return folder
