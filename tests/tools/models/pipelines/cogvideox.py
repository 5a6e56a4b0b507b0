"""CogVideoX."""

from __future__ import annotations

from typing import Any

from tools.models.pipelines.encoders import t5_encoder
from tools.models.pipelines.tokenizers import t5_tokenizer


def cogvideox(**changes: Any) -> Any:
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    config = {
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 2,
        "text_embed_dim": 32,
        "num_layers": 1,
        "sample_width": 2,
        "sample_height": 2,
        "sample_frames": 9,
        "patch_size": 2,
        "temporal_compression_ratio": 4,
        "max_text_seq_length": 226,
    }
    vae = AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        temporal_compression_ratio=4,
    )
    return CogVideoXPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_encoder(),
        vae=vae,
        transformer=CogVideoXTransformer3DModel(**{**config, **changes}),
        scheduler=CogVideoXDDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            snr_shift_scale=3.0,
            set_alpha_to_one=True,
        ),
    )


def cogvideox15() -> Any:
    return cogvideox(
        num_attention_heads=2,
        attention_head_dim=16,
        patch_size_t=2,
        patch_bias=False,
        use_rotary_positional_embeddings=True,
        sample_width=32,
        sample_height=32,
        sample_frames=33,
        max_text_seq_length=224,
    )
