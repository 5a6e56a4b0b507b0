"""Sizes of an mPLUG-Owl-Video model, read from the checkpoint's ``config.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, PositiveFloat, PositiveInt, ValidationError, model_validator

from phybench.errors import ConfigError

_PLAIN_FFN_WIDTH = 2816
_FFN_MULTIPLE = 256


class VisionSizes(BaseModel):
    """The vision tower; defaults are those of the original's configuration class."""

    hidden_size: PositiveInt = 1024
    intermediate_size: PositiveInt = 4096
    num_hidden_layers: PositiveInt = 24
    num_attention_heads: PositiveInt = 16
    num_channels: PositiveInt = 3
    image_size: PositiveInt = 224
    patch_size: PositiveInt = 14
    layer_norm_eps: PositiveFloat = 1e-6

    @property
    def patches(self) -> int:
        """Patches per frame."""
        return (self.image_size // self.patch_size) ** 2


class AbstractorSizes(BaseModel):
    """The visual abstractor; defaults are those of the original's configuration class."""

    hidden_size: PositiveInt = 1024
    num_hidden_layers: PositiveInt = 6
    num_attention_heads: PositiveInt = 16
    intermediate_size: PositiveInt = 4096
    layer_norm_eps: PositiveFloat = 1e-6
    encoder_hidden_size: PositiveInt | None = None

    @property
    def ffn_width(self) -> int:
        """Width of the gated feed-forward: two thirds, rounded up to a multiple of 256.

        2816 is taken as it is, because configurations were saved in both forms.
        """
        if self.intermediate_size == _PLAIN_FFN_WIDTH:
            return _PLAIN_FFN_WIDTH
        reduced = int(2 * self.intermediate_size / 3)
        return -(-reduced // _FFN_MULTIPLE) * _FFN_MULTIPLE


class LanguageSizes(BaseModel):
    """The LLaMA part; unknown entries of the file (old dtype notes and the like) are ignored."""

    hidden_size: PositiveInt = 4096
    intermediate_size: PositiveInt = 11008
    num_hidden_layers: PositiveInt = 32
    num_attention_heads: PositiveInt = 32
    num_key_value_heads: PositiveInt | None = None
    vocab_size: PositiveInt = 32000
    max_position_embeddings: PositiveInt = 2048
    rms_norm_eps: PositiveFloat = 1e-6
    rope_theta: PositiveFloat = 10000.0
    hidden_act: str = "silu"
    bos_token_id: int = 1
    eos_token_id: int = 2
    tie_word_embeddings: bool = False

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_attention_heads


class OwlConfig(BaseModel):
    """The whole model.

    Args:
        vision_config: The vision tower.
        visual_abstractor_config: The abstractor between vision and language.
        text_config: The language model.
        num_query_tokens: Learned queries of the abstractor; as many again for time.
    """

    vision_config: VisionSizes
    visual_abstractor_config: AbstractorSizes
    text_config: LanguageSizes
    num_query_tokens: PositiveInt = 64

    @model_validator(mode="before")
    @classmethod
    def _absent_parts_have_defaults(cls, given: Any) -> Any:
        # transformers leaves out of a saved config what equals its class's defaults.
        if not isinstance(given, dict) or given.get("model_type") != "mplug-owl":
            return given
        parts = ("vision_config", "visual_abstractor_config", "text_config")
        return {**given, **{part: given.get(part) or {} for part in parts}}

    @property
    def media_tokens(self) -> int:
        """Places that a video takes in the text: one per query and an end mark."""
        return self.num_query_tokens + 1

    @model_validator(mode="after")
    def _parts_fit(self) -> OwlConfig:
        vision, bridge, text = self.vision_config, self.visual_abstractor_config, self.text_config
        if bridge.encoder_hidden_size not in {None, vision.hidden_size}:
            raise ValueError("the abstractor's encoder_hidden_size is not the vision hidden_size")
        if bridge.hidden_size != vision.hidden_size:
            raise ValueError("the abstractor's hidden_size is not the vision hidden_size")
        for part in (vision, bridge, text):
            if part.hidden_size % part.num_attention_heads:
                raise ValueError("a hidden_size is not divisible by its num_attention_heads")
        return self


def read_owl_config(path: Path) -> OwlConfig:
    """Read a checkpoint's ``config.json``.

    Raises:
        ConfigError: If it does not describe an mPLUG-Owl-Video model.
    """
    try:
        return OwlConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error}.") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise ConfigError(
            f"Expected {path} to describe an mPLUG-Owl-Video model, but {where}: {problem['msg']}."
        ) from error


def language_arguments(sizes: LanguageSizes) -> dict[str, Any]:
    """Arguments for transformers' ``LlamaConfig``.

    The pad id is left out: it only freezes a row of the embedding during training, and the
    checkpoints disagree on it.
    """
    arguments = sizes.model_dump(exclude={"rope_theta"})
    arguments["rope_parameters"] = {"rope_type": "default", "rope_theta": sizes.rope_theta}
    return {
        **arguments,
        "pad_token_id": None,
        # Each weight is filled on its own, tied ones too (see `weights.build_model`).
        "tie_word_embeddings": False,
        "attn_implementation": "sdpa",
    }
