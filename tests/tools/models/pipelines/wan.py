"""Wan."""

from __future__ import annotations

from typing import Any

from tools.models.pipelines.encoders import umt5_encoder
from tools.models.pipelines.tokenizers import t5_tokenizer


def wan_vae(**changes: Any) -> Any:
    from diffusers import AutoencoderKLWan

    config = {
        "base_dim": 3,
        "z_dim": 16,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }
    return AutoencoderKLWan(**{**config, **changes})


def wan_transformer() -> Any:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )


def unipc(**changes: Any) -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, **changes
    )


def wan() -> Any:
    from diffusers import WanPipeline

    return WanPipeline(
        tokenizer=t5_tokenizer(512),
        text_encoder=umt5_encoder(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=wan_transformer(),
    )


def wan_a14b() -> Any:
    from diffusers import WanPipeline

    return WanPipeline(
        tokenizer=t5_tokenizer(512),
        text_encoder=umt5_encoder(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=wan_transformer(),
        transformer_2=wan_transformer(),
        boundary_ratio=0.875,
    )


def wan_ti2v() -> Any:
    from diffusers import WanPipeline

    vae = wan_vae(
        decoder_base_dim=3,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        is_residual=True,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
    )
    return WanPipeline(
        tokenizer=t5_tokenizer(512),
        text_encoder=umt5_encoder(),
        vae=vae,
        scheduler=unipc(),
        transformer=wan_transformer(),
        expand_timesteps=True,
    )
