"""Text encoders, and the image codec that several pipelines share."""

from __future__ import annotations

from typing import Any


def t5_encoder(width: int = 32) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=160,
            d_model=width,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=8,
        )
    )


def umt5_encoder() -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=160,
            d_model=32,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=8,
        )
    )


def clip_encoder(width: int = 8) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=520,
            hidden_size=width,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            projection_dim=8,
            bos_token_id=512,
            eos_token_id=513,
        )
    )


def sd_vae(channels: tuple[int, ...] = (8, 8)) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=channels,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        norm_num_groups=2,
        sample_size=32,
    )


def qwen_text() -> Any:
    import transformers

    return transformers.Qwen2_5_VLTextModel(transformers.Qwen2_5_VLTextConfig(**qwen_config(3)))


def qwen_config(layers: int) -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 262,
        "max_position_embeddings": 2048,
        "bos_token_id": 256,
        "eos_token_id": 256,
        "pad_token_id": 256,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [1, 1, 2],
            "rope_theta": 1e6,
        },
    }


def qwen_vl() -> Any:
    """Its layers' states side by side are as wide as the transformer's text: 2 times 16."""
    import transformers

    eyes = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
        "fullatt_block_indexes": [0],
    }
    return transformers.Qwen2_5_VLForConditionalGeneration(
        transformers.Qwen2_5_VLConfig(text_config=qwen_config(2), vision_config=eyes)
    )
