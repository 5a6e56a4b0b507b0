"""What LaVie adds to Stable Diffusion: attention over frames, and norms that see the whole clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

ROTARY_DIMENSIONS = 32
BUCKETS = 32
_MAX_DISTANCE = 32


@dataclass(slots=True)
class ClipLayout:
    """How many frames of one clip lie next to each other in a batch; shared by a UNet's modules.

    Args:
        frames: Frames per clip; set before every call of the UNet.
    """

    frames: int = 1


class ClipGroupNorm(nn.Module):
    """Group norm whose statistics run over all frames of a clip."""

    def __init__(self, norm: nn.GroupNorm, layout: ClipLayout) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self._groups, self._eps = norm.num_groups, norm.eps
        self._layout = layout

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Normalise frames of shape (B·F, C, h, w)."""
        clips = frames.reshape(-1, self._layout.frames, *frames.shape[1:]).transpose(1, 2)
        normed = nn.functional.group_norm(clips, self._groups, self.weight, self.bias, self._eps)
        return normed.transpose(1, 2).flatten(0, 1)


class RotaryEmbedding(nn.Module):
    """Rotates neighbouring pairs of the first 32 channels by an angle that grows with the frame."""

    def __init__(self) -> None:
        super().__init__()
        self.freqs = nn.Parameter(torch.empty(ROTARY_DIMENSIONS // 2))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Rotate states of shape (..., F, d); channels from the 33rd on stay as they are."""
        frames = torch.arange(states.shape[-2], device=states.device, dtype=torch.float32)
        angles = (frames[:, None] * self.freqs.float()).repeat_interleave(2, -1)
        turned, rest = states[..., :ROTARY_DIMENSIONS], states[..., ROTARY_DIMENSIONS:]
        pairs = turned.reshape(*turned.shape[:-1], -1, 2)
        swapped = torch.stack((-pairs[..., 1], pairs[..., 0]), -1).flatten(-2)
        rotated = turned * angles.cos().to(states.dtype) + swapped * angles.sin().to(states.dtype)
        return torch.cat((rotated, rest), -1)


class RelativePositionBias(nn.Module):
    """A learned number per head and bucket of the distance between two frames (as in T5)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, frames: int) -> torch.Tensor:
        """Biases of shape (heads, query frame, key frame)."""
        position = torch.arange(frames, device=self.relative_attention_bias.weight.device)
        buckets = distance_bucket(position[None, :] - position[:, None])
        biases: torch.Tensor = self.relative_attention_bias(buckets)
        return biases.permute(2, 0, 1)


def distance_bucket(later: torch.Tensor) -> torch.Tensor:
    """Bucket of how many frames the key lies after the query (negative: before).

    Half of the buckets are for each direction; the first eight of a half are exact distances, the
    other eight grow logarithmically up to 32 frames.
    """
    half = BUCKETS // 2
    exact = half // 2
    distance = later.abs()
    spread = (distance.clamp(min=1).float() / exact).log() / math.log(_MAX_DISTANCE / exact)
    far = (exact + (spread * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(later > 0, half, 0) + torch.where(distance < exact, distance, far)


class TemporalAttention(nn.Module):
    """Self-attention over the frames at one position, with rotation and relative bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.time_rel_pos_bias = RelativePositionBias(heads)
        self.rotary_emb = RotaryEmbedding()
        self._heads = heads

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Attend within states of shape (N, F, width)."""
        query, key, value = (
            project(states).reshape(*states.shape[:2], self._heads, -1).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        query = self.rotary_emb(query * query.shape[-1] ** -0.5)
        scores = query @ self.rotary_emb(key).transpose(-1, -2)
        weights = (scores + self.time_rel_pos_bias(states.shape[1])).softmax(-1)
        out: torch.Tensor = self.to_out[0]((weights @ value).transpose(1, 2).flatten(2))
        return out


class ClipTransformerBlock(nn.Module):
    """Stable Diffusion's transformer block with attention over frames before its feed-forward."""

    def __init__(self, block: Any, width: int, heads: int, layout: ClipLayout) -> None:
        super().__init__()
        self.attn1, self.norm1 = block.attn1, block.norm1
        self.attn2, self.norm2 = block.attn2, block.norm2
        self.attn_temp, self.norm_temp = TemporalAttention(width, heads), nn.LayerNorm(width)
        self.ff, self.norm3 = block.ff, block.norm3
        self._layout = layout

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        **unused: Mapping[str, Any] | torch.Tensor | None,
    ) -> torch.Tensor:
        """Run the block on states of shape (B·F, h·w, width), frames of a clip adjacent."""
        if given := [name for name, value in unused.items() if value is not None]:
            raise ValueError(f"Expected no {', '.join(given)}: LaVie has no use for it.")
        states = hidden_states + self.attn1(self.norm1(hidden_states))
        states = states + self.attn2(self.norm2(states), encoder_hidden_states)
        states = states + self._over_frames(self.norm_temp(states))
        out: torch.Tensor = states + self.ff(self.norm3(states))
        return out

    def _over_frames(self, states: torch.Tensor) -> torch.Tensor:
        clips = states.reshape(-1, self._layout.frames, *states.shape[1:]).transpose(1, 2)
        attended: torch.Tensor = self.attn_temp(clips.flatten(0, 1))
        return attended.reshape(clips.shape).transpose(1, 2).flatten(0, 1)
