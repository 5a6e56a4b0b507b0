"""Cosmos, with its guardrail left out."""

from __future__ import annotations

from typing import Any

from tools.models.pipelines.encoders import qwen_vl, t5_encoder
from tools.models.pipelines.tokenizers import qwen_tokenizer, t5_tokenizer
from tools.models.pipelines.wan import unipc, wan_vae


def cosmos_transformer(**changes: Any) -> Any:
    from diffusers import CosmosTransformer3DModel

    config = {
        "in_channels": 5,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "mlp_ratio": 2,
        "text_embed_dim": 32,
        "adaln_lora_dim": 4,
        "max_size": (16, 32, 32),
        "patch_size": (1, 2, 2),
        "rope_scale": (2.0, 1.0, 1.0),
        "concat_padding_mask": True,
    }
    return CosmosTransformer3DModel(**{**config, **changes})


def cosmos1() -> Any:
    from diffusers import AutoencoderKLCosmos, CosmosTextToWorldPipeline, EDMEulerScheduler

    vae = AutoencoderKLCosmos(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,),
        resolution=64,
        num_layers=2,
        patch_size=4,
        patch_type="haar",
        scaling_factor=1.0,
        spatial_compression_ratio=4,
        temporal_compression_ratio=4,
    )
    pipe = CosmosTextToWorldPipeline(
        text_encoder=t5_encoder(),
        tokenizer=t5_tokenizer(512),
        transformer=cosmos_transformer(in_channels=4, extra_pos_embed_type="learnable"),
        vae=vae,
        scheduler=EDMEulerScheduler(
            sigma_min=0.002, sigma_max=80, sigma_data=0.5, prediction_type="epsilon"
        ),
    )
    return _without_guardrail(pipe)


def cosmos25() -> Any:
    from diffusers import Cosmos2_5_PredictBasePipeline

    pipe = Cosmos2_5_PredictBasePipeline(
        text_encoder=qwen_vl(),
        tokenizer=qwen_tokenizer(),
        transformer=cosmos_transformer(in_channels=17, out_channels=16),
        vae=wan_vae(latents_mean=[0.0] * 16, latents_std=[1.0] * 16),
        scheduler=unipc(use_karras_sigmas=True, sigma_max=200.0, sigma_min=0.01),
    )
    return _without_guardrail(pipe)


def _without_guardrail(pipe: Any) -> Any:
    """As the published folders are: the guardrail is no part of them and is loaded apart."""
    pipe.register_modules(safety_checker=None)
    return pipe
