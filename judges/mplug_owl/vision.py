"""The vision tower: CLIP layers per frame with a temporal adapter before each.

Structure after the published checkpoints of mPLUG-Owl-Video; the traps (the class token that
doubles, the adapter's own epsilon) are theirs and must stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from .config import VisionSizes


class VisionTower(nn.Module):
    """Frames to patch states."""

    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.position_embedding = nn.Parameter(torch.empty(1, sizes.patches + 1, width))
        self.patch_embed = nn.Conv2d(
            sizes.num_channels, width, sizes.patch_size, sizes.patch_size, bias=False
        )
        self.pre_layernorm = nn.LayerNorm(width, eps=sizes.layer_norm_eps)
        self.layers = nn.ModuleList(VisionLayer(sizes) for _ in range(sizes.num_hidden_layers))
        self.post_layernorm = nn.LayerNorm(width, eps=sizes.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode videos.

        Args:
            pixels: Normalised frames of shape (B, 3, T, H, W). With T = 1 it is an image and the
                temporal adapters are skipped.

        Returns:
            States of shape (B, T, 1 + patches, width); index 0 is the class token.
        """
        batch, channels, time, height, width = pixels.shape
        frames = pixels.transpose(1, 2).reshape(batch * time, channels, height, width)
        patches = self.patch_embed(frames).flatten(2).transpose(1, 2)
        cls = self.cls_token.expand(len(patches), -1, -1)
        states = torch.cat([cls, patches], dim=1) + self.position_embedding
        states = self.pre_layernorm(states).unflatten(0, (batch, time))
        for layer in self.layers:
            states = layer(states)
        normed: Tensor = self.post_layernorm(states)
        return normed


class VisionLayer(nn.Module):
    """Temporal adapter, then a CLIP layer within each frame."""

    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        config = CLIPVisionConfig(**_clip_arguments(sizes))
        self.temporal = TemporalAdapter(sizes.hidden_size)
        self.block = CLIPEncoderLayer(config)

    def forward(self, states: Tensor) -> Tensor:
        """States of shape (B, T, N, C) to the same shape."""
        if states.shape[1] > 1:
            states = states + self.temporal(states)
        output: Tensor = self.block(states.flatten(0, 1), attention_mask=None)
        return output.view_as(states)


def _clip_arguments(sizes: VisionSizes) -> dict[str, Any]:
    return {
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.intermediate_size,
        "num_attention_heads": sizes.num_attention_heads,
        "layer_norm_eps": sizes.layer_norm_eps,
        "attention_dropout": 0.0,
        # The checkpoints' own `hidden_act` has no effect in the original.
        "hidden_act": "quick_gelu",
        "attn_implementation": "sdpa",
    }


class TemporalAdapter(nn.Module):
    """Mixes neighbouring frames at each patch; passes the class token through.

    Since the caller adds the result, the class token doubles in every layer, as in the original.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # torch's default epsilon of 1e-5, not the tower's 1e-6.
        self.ln = nn.LayerNorm(width)
        self.down_proj = nn.Linear(width, width // 2)
        self.conv_weight = nn.Parameter(torch.empty(width // 2, 3))
        self.conv_bias = nn.Parameter(torch.empty(width // 2))
        self.up_proj = nn.Linear(width // 2, width)

    def forward(self, states: Tensor) -> Tensor:
        """States of shape (B, T, N, C) to the same shape."""
        hidden = self._convolve(self.down_proj(self.ln(states[:, :, 1:])))
        mixed = self.up_proj(hidden * torch.sigmoid(1.702 * hidden))
        return torch.cat([states[:, :, :1], mixed], dim=2)

    def _convolve(self, hidden: Tensor) -> Tensor:
        """Depth-wise kernel of 3 over time as shifted multiply-adds, zeros outside the clip.

        torch's grouped convolutions are slow or missing for bfloat16 on some devices.
        """
        before, here, after = self.conv_weight.unbind(1)
        output = torch.addcmul(self.conv_bias, hidden, here)
        output[:, 1:].addcmul_(hidden[:, :-1], before)
        output[:, :-1].addcmul_(hidden[:, 1:], after)
        return output
