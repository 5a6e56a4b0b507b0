"""Tiny checkpoints in the public layouts of VideoPhy2-AutoEval and VideoCon-Physics.

Weights are random; `markov` makes the language part a table from the last token to the next, so
that a test can choose what the judge says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from torch import Tensor

from phybench.video.video_file import write_frames

_CORPUS = """The following is a conversation between a curious human and an AI assistant. The
assistant gives helpful, detailed, and polite answers to the user's questions. Human: AI: Does this
video match the description? Please rate the video on a scale from 1 to 5, where 5 indicates a
perfect match and 1 indicates no relevance. Does this video adhere to the physical laws? Yes No
full compliance significant violations physical rule: Choose 0 if not, 1 if valid, or 2 if
indeterminate. entail follow 0 1 2 3 4 5 6 7 8 9 Yes No Yes No none
"""


def sizes(**changes: Any) -> dict[str, Any]:
    """A config.json of a tiny model; keyword arguments `vision`, `bridge`, `text` change parts."""
    vision = {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": 28,
        "patch_size": 14,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
    }
    bridge = {
        "hidden_size": 24,
        "encoder_hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 90,
        "layer_norm_eps": 1e-6,
    }
    text = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 400,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return {
        "model_type": "mplug-owl",
        "num_query_tokens": changes.get("queries", 5),
        "vision_config": {**vision, **changes.get("vision", {})},
        "visual_abstractor_config": {**bridge, **changes.get("bridge", {})},
        "text_config": {**text, **changes.get("text", {})},
    }


def key_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the public layout for these sizes."""
    vision, bridge = config["vision_config"], config["visual_abstractor_config"]
    text, queries = config["text_config"], config["num_query_tokens"]
    c, a, h = vision["hidden_size"], bridge["hidden_size"], text["hidden_size"]
    patch = vision["patch_size"]
    positions = (vision["image_size"] // patch) ** 2 + 1
    reduced = int(2 * bridge["intermediate_size"] / 3)
    ffn = 2816 if bridge["intermediate_size"] == 2816 else -(-reduced // 256) * 256
    shapes = {
        "query_tokens": (1, queries, a),
        "temporal_query_tokens": (1, queries, a),
        "vision_model.embeddings.cls_token": (1, 1, c),
        "vision_model.embeddings.position_embedding": (1, positions, c),
        "vision_model.embeddings.patch_embed.weight": (c, 3, patch, patch),
        **_norm("vision_model.embeddings.pre_layernorm", c),
        **_norm("vision_model.post_layernorm", c),
        **_linear("abstractor.visual_fc", h, a),
        **_linear("abstractor.temporal_visual_fc", h, a),
        "abstractor.vit_eos": (1, 1, h),
        "language_model.model.embed_tokens.weight": (text["vocab_size"], h),
        "language_model.model.norm.weight": (h,),
        "language_model.lm_head.weight": (text["vocab_size"], h),
    }
    for i in range(vision["num_hidden_layers"]):
        at = f"vision_model.encoder.layers.{i}"
        shapes |= _vision_layer(at, c, vision["intermediate_size"])
    for i in range(bridge["num_hidden_layers"]):
        shapes |= _bridge_layer(f"abstractor.encoder.layers.{i}.crossattention", a, ffn)
    for i in range(text["num_hidden_layers"]):
        shapes |= _text_layer(f"language_model.model.layers.{i}", text)
    return shapes


def _norm(at: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (width,), f"{at}.bias": (width,)}


def _linear(at: str, out: int, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{at}.weight": (out, width), f"{at}.bias": (out,)}


def _vision_layer(at: str, c: int, ffn: int) -> dict[str, tuple[int, ...]]:
    half = c // 2
    return {
        **_norm(f"{at}.temporal.ln", c),
        f"{at}.temporal.down_proj.weight": (half, c, 1, 1, 1),
        f"{at}.temporal.down_proj.bias": (half,),
        f"{at}.temporal.conv.weight": (half, 1, 3, 1, 1),
        f"{at}.temporal.conv.bias": (half,),
        f"{at}.temporal.up_proj.weight": (c, half, 1, 1, 1),
        f"{at}.temporal.up_proj.bias": (c,),
        **_norm(f"{at}.input_layernorm", c),
        **_linear(f"{at}.self_attn.query_key_value", 3 * c, c),
        **_linear(f"{at}.self_attn.dense", c, c),
        **_norm(f"{at}.post_attention_layernorm", c),
        **_linear(f"{at}.mlp.fc1", ffn, c),
        **_linear(f"{at}.mlp.fc2", c, ffn),
    }


def _bridge_layer(at: str, a: int, ffn: int) -> dict[str, tuple[int, ...]]:
    return {
        **_norm(f"{at}.norm1", a),
        **_norm(f"{at}.normk", a),
        **_linear(f"{at}.attention.query", a, a),
        **_linear(f"{at}.attention.key", a, a),
        **_linear(f"{at}.attention.value", a, a),
        **_linear(f"{at}.output.out_proj", a, a),
        **_norm(f"{at}.output.norm2", a),
        **_linear(f"{at}.output.mlp.w1", ffn, a),
        **_linear(f"{at}.output.mlp.w3", ffn, a),
        **_linear(f"{at}.output.mlp.w2", a, ffn),
        **_norm(f"{at}.output.mlp.ffn_ln", ffn),
    }


def _text_layer(at: str, text: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    h, ffn = text["hidden_size"], text["intermediate_size"]
    head = h // text["num_attention_heads"]
    return {
        **{f"{at}.self_attn.{part}_proj.weight": (h, h) for part in "qkvo"},
        f"{at}.self_attn.rotary_emb.inv_freq": (head // 2,),
        f"{at}.mlp.gate_proj.weight": (ffn, h),
        f"{at}.mlp.up_proj.weight": (ffn, h),
        f"{at}.mlp.down_proj.weight": (h, ffn),
        f"{at}.input_layernorm.weight": (h,),
        f"{at}.post_attention_layernorm.weight": (h,),
    }


def random_state(config: Mapping[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random bfloat16 weights; the rotary buffer holds nonsense, which must not matter."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in key_shapes(config).items():
        values = torch.randn(shape, generator=generator)
        if key.endswith("weight") and len(shape) > 1:
            values *= (values[0].numel()) ** -0.5 * (2 if "lm_head" in key else 1)
        elif key.endswith("weight"):
            values = 1 + 0.2 * values
        else:
            values *= 0.3
        state[key] = values.bfloat16()
    return state


def markov(state: dict[str, Tensor], table: Mapping[int, Mapping[int, float]]) -> dict[str, Tensor]:
    """Make the next token depend on the last one only: {last id: {next id: logit}}."""
    state = dict(state)
    for key in state:
        if key.endswith(("o_proj.weight", "mlp.down_proj.weight")):
            state[key] = torch.zeros_like(state[key])
    embeddings = torch.zeros_like(state["language_model.model.embed_tokens.weight"]).float()
    head = torch.zeros_like(embeddings)
    width = embeddings.shape[1]
    assert len(table) < width
    # Tokens outside the table share the last direction, which nothing reads.
    embeddings[:, -1] = 1
    for axis, (last, following) in enumerate(table.items()):
        embeddings[last] = 0
        embeddings[last, axis] = 1
        for token, logit in following.items():
            # A one-hot state has an RMS of width ** -0.5, so the norm scales it to width ** 0.5.
            head[token, axis] = logit * width**-0.5
    state["language_model.model.embed_tokens.weight"] = embeddings
    state["language_model.lm_head.weight"] = head
    state["language_model.model.norm.weight"] = torch.ones(width)
    return state


def train_tokenizer(path: Path, vocabulary: int = 400) -> None:
    """A small sentencepiece model with LLaMA's conventions."""
    corpus = path.with_suffix(".txt")
    corpus.write_text(_CORPUS * 3, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(path.with_suffix("")),
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        pad_id=-1,
        minloglevel=2,
        num_threads=1,
    )
    corpus.unlink()
    path.with_suffix(".vocab").unlink()


def write_checkpoint(
    folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], layout: str = "shards"
) -> Path:
    """Write a checkpoint in a layout of :func:`write_weights`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    train_tokenizer(folder / "tokenizer.model", config["text_config"]["vocab_size"])
    write_weights(folder, state, layout)
    return folder


def write_weights(folder: Path, state: Mapping[str, Tensor], layout: str) -> None:
    """Write only the weights: `single` or `shards` (.bin), `safetensors` or `safe-shards`."""
    stem, suffix = ("model", "safetensors") if "safe" in layout else ("pytorch_model", "bin")
    if "shards" not in layout:
        _save(state, folder / f"{stem}.{suffix}")
        return
    # Interleaved, so that the parts of a layer lie in different files.
    parts = {f"{stem}-0000{n}-of-00003.{suffix}": list(state)[n - 1 :: 3] for n in (1, 2, 3)}
    for name, keys in parts.items():
        _save({key: state[key] for key in keys}, folder / name)
    weight_map = {key: name for name, keys in parts.items() for key in keys}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index), encoding="utf-8")


def _save(state: Mapping[str, Tensor], path: Path) -> None:
    contiguous = {key: value.clone().contiguous() for key, value in state.items()}
    if path.suffix == ".bin":
        torch.save(contiguous, path)
    else:
        from safetensors.torch import save_file

        save_file(contiguous, path)


def write_clip(path: Path, *, seed: int = 0, frames: int = 12, size: tuple[int, int] = (32, 48)):
    """A clip of moving noise blocks; returns its path."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 255, (frames, size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    write_frames(path, blocks.repeat(8, axis=1).repeat(8, axis=2), 8.0)
    return path
