"""mPLUG-Owl-Video spelled out in NumPy float64, straight from the checkpoint's keys.

Slow and independent of the product's code: loops over heads and frames, no shared key map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Naive:
    """The model by its definition."""

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        self.vision_sizes = config["vision_config"]
        self.bridge_sizes = config["visual_abstractor_config"]
        self.text_sizes = config["text_config"]
        self.w = {key: value.float().numpy().astype(np.float64) for key, value in state.items()}

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """(3, T, H, W) to (T, 1 + patches, C)."""
        at = "vision_model.embeddings"
        kernel, patch = self.w[f"{at}.patch_embed.weight"], self.vision_sizes["patch_size"]
        side = self.vision_sizes["image_size"] // patch
        states = []
        for t in range(pixels.shape[1]):
            tokens = [self.w[f"{at}.cls_token"][0, 0]]
            for row in range(side):
                for column in range(side):
                    rows = slice(row * patch, (row + 1) * patch)
                    columns = slice(column * patch, (column + 1) * patch)
                    window = pixels[:, t, rows, columns]
                    tokens.append((kernel * window).sum((1, 2, 3)))
            states.append(np.stack(tokens) + self.w[f"{at}.position_embedding"][0])
        x = self._norm(np.stack(states), f"{at}.pre_layernorm", 1e-6)
        for layer in range(self.vision_sizes["num_hidden_layers"]):
            x = self._vision_layer(x, f"vision_model.encoder.layers.{layer}")
        return self._norm(x, "vision_model.post_layernorm", 1e-6)

    def _vision_layer(self, x: np.ndarray, at: str) -> np.ndarray:
        if len(x) > 1:
            x = x + self._temporal(x, f"{at}.temporal")
        x = x + np.stack([self._attend(frame, at) for frame in x])
        hidden = self._norm(x, f"{at}.post_attention_layernorm", 1e-6)
        hidden = self._linear(hidden, f"{at}.mlp.fc1")
        return x + self._linear(_quick_gelu(hidden), f"{at}.mlp.fc2")

    def _temporal(self, x: np.ndarray, at: str) -> np.ndarray:
        hidden = self._norm(x[:, 1:], f"{at}.ln", 1e-5)
        down = self.w[f"{at}.down_proj.weight"][:, :, 0, 0, 0]
        hidden = hidden @ down.T + self.w[f"{at}.down_proj.bias"]
        kernel = self.w[f"{at}.conv.weight"][:, 0, :, 0, 0]
        padded = np.pad(hidden, ((1, 1), (0, 0), (0, 0)))
        mixed = sum(padded[k : k + len(x)] * kernel[:, k] for k in range(3))
        mixed = _quick_gelu(mixed + self.w[f"{at}.conv.bias"])
        up = self.w[f"{at}.up_proj.weight"][:, :, 0, 0, 0]
        return np.concatenate([x[:, :1], mixed @ up.T + self.w[f"{at}.up_proj.bias"]], axis=1)

    def _attend(self, frame: np.ndarray, at: str) -> np.ndarray:
        normed = self._norm(frame, f"{at}.input_layernorm", 1e-6)
        fused = self._linear(normed, f"{at}.self_attn.query_key_value")
        heads = self.vision_sizes["num_attention_heads"]
        width = frame.shape[1] // heads
        outputs = []
        for head in range(heads):
            start = 3 * width * head
            q, k, v = (fused[:, start + n * width : start + (n + 1) * width] for n in range(3))
            outputs.append(_softmax(q @ k.T * width**-0.5) @ v)
        return self._linear(np.concatenate(outputs, axis=1), f"{at}.self_attn.dense")

    def media(self, states: np.ndarray) -> np.ndarray:
        """(T, N, C) to (queries + 1, text width)."""
        time = len(states)
        encoded = states.reshape(-1, states.shape[-1])
        x = self.w["query_tokens"][0]
        count = len(x)
        if time > 1:
            x = np.concatenate([x, self.w["temporal_query_tokens"][0]])
        for layer in range(self.bridge_sizes["num_hidden_layers"]):
            x = self._bridge(x, encoded, f"abstractor.encoder.layers.{layer}.crossattention")
        output = self._linear(x[:count], "abstractor.visual_fc")
        if time > 1:
            output = output + self._linear(x[count:], "abstractor.temporal_visual_fc")
        return np.concatenate([output, self.w["abstractor.vit_eos"][0]])

    def _bridge(self, x: np.ndarray, encoded: np.ndarray, at: str) -> np.ndarray:
        n = self._norm(x, f"{at}.norm1", 1e-5)
        sources = np.concatenate([n, self._norm(encoded, f"{at}.normk", 1e-5)])
        q = self._linear(n, f"{at}.attention.query")
        k = self._linear(sources, f"{at}.attention.key")
        v = self._linear(sources, f"{at}.attention.value")
        heads = self.bridge_sizes["num_attention_heads"]
        width = x.shape[1] // heads
        outputs = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            outputs.append(_softmax(q[:, part] @ k[:, part].T * width**-0.5) @ v[:, part])
        y = n + self._linear(np.concatenate(outputs, axis=1), f"{at}.output.out_proj")
        m = self._norm(y, f"{at}.output.norm2", 1e-5)
        gate = self._linear(m, f"{at}.output.mlp.w1")
        gated = gate / (1 + np.exp(-gate)) * self._linear(m, f"{at}.output.mlp.w3")
        gated = self._norm(gated, f"{at}.output.mlp.ffn_ln", 1e-6)
        return y + self._linear(gated, f"{at}.output.mlp.w2")

    def logits(self, ids: list[int], media: np.ndarray) -> np.ndarray:
        """Prompt ids with the video's places (-2) to (L, vocabulary)."""
        table = self.w["language_model.model.embed_tokens.weight"]
        waiting = iter(media)
        x = np.stack([next(waiting) if token == -2 else table[token] for token in ids])
        for layer in range(self.text_sizes["num_hidden_layers"]):
            x = self._text_layer(x, f"language_model.model.layers.{layer}")
        x = self._rms(x, "language_model.model.norm")
        return x @ self.w["language_model.lm_head.weight"].T

    def _text_layer(self, x: np.ndarray, at: str) -> np.ndarray:
        normed = self._rms(x, f"{at}.input_layernorm")
        q, k, v = (normed @ self.w[f"{at}.self_attn.{p}_proj.weight"].T for p in "qkv")
        heads = self.text_sizes["num_attention_heads"]
        width = x.shape[1] // heads
        hidden_from = np.triu(np.full((len(x), len(x)), -np.inf), 1)
        outputs = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = _rotate(q[:, part]) @ _rotate(k[:, part]).T * width**-0.5
            outputs.append(_softmax(scores + hidden_from) @ v[:, part])
        x = x + np.concatenate(outputs, axis=1) @ self.w[f"{at}.self_attn.o_proj.weight"].T
        normed = self._rms(x, f"{at}.post_attention_layernorm")
        gate = normed @ self.w[f"{at}.mlp.gate_proj.weight"].T
        up = normed @ self.w[f"{at}.mlp.up_proj.weight"].T
        return x + (gate / (1 + np.exp(-gate)) * up) @ self.w[f"{at}.mlp.down_proj.weight"].T

    def _norm(self, x: np.ndarray, at: str, eps: float) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * self.w[f"{at}.weight"] + self.w[f"{at}.bias"]

    def _rms(self, x: np.ndarray, at: str) -> np.ndarray:
        eps = self.text_sizes["rms_norm_eps"]
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * self.w[f"{at}.weight"]

    def _linear(self, x: np.ndarray, at: str) -> np.ndarray:
        return x @ self.w[f"{at}.weight"].T + self.w[f"{at}.bias"]


def _rotate(x: np.ndarray) -> np.ndarray:
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * 10000.0 ** (-2 * np.arange(half) / x.shape[1])
    first, second = x[:, :half], x[:, half:]
    return np.concatenate(
        [
            first * np.cos(angles) - second * np.sin(angles),
            second * np.cos(angles) + first * np.sin(angles),
        ],
        axis=1,
    )


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _quick_gelu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-1.702 * x))
