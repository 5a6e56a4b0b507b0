"""A small checkpoint in the layout of VideoCrafter2, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tools.models.original_names as names
from phybench.generators.ports.videocrafter2.key_map import TEXT, UNET, VAE
from phybench.generators.ports.videocrafter2.plugin import videocrafter2
from phybench.generators.ports.videocrafter2.sampler import (
    noise_schedule,
    rescale_table,
)
from tools.models.pipelines.tokenizers import save_clip_tokenizer
from tools.models.random_weights import random_tensors

VOCABULARY = 514  # of the tiny CLIP tokenizer


def random_state(
    channels: tuple[int, ...] = (32, 64),
    layers: int = 1,
    head: int = 8,
    context: int = 32,
    *,
    attends: tuple[bool, ...] = (),
    vae: tuple[int, ...] = (32, 32),
    vae_layers: int = 1,
    blocks: int = 3,
) -> dict[str, Any]:
    torch.manual_seed(1)
    attends = attends or tuple(level < len(channels) - 1 for level in range(len(channels)))
    return {
        **random_tensors(names.vc2_unet(channels, layers, attends, head, context), UNET),
        **random_tensors(names.ldm_vae(vae, vae_layers), VAE),
        **random_tensors(names.openclip_text(context, blocks, VOCABULARY), TEXT),
        "betas": torch.zeros(1000),
        "alphas_cumprod": noise_schedule(),
        "scale_arr": rescale_table(),
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videocrafter2")
    torch.save({"state_dict": random_state()}, folder / "model.ckpt")
    save_clip_tokenizer(folder / "tokenizer")
    return folder


def make(checkpoint: Path, **options: Any) -> Any:
    small = {"frames": 3, "width": 16, "height": 8, "steps": 2, "device": "cpu"}
    return videocrafter2(
        **{"model": str(checkpoint), "tokenizer": str(checkpoint / "tokenizer"), **small, **options}
    )
