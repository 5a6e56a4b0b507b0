"""The visual abstractor: learned queries that read all frames and become text embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import AbstractorSizes, OwlConfig


class Abstractor(nn.Module):
    """Patch states of a video to the embeddings that stand for it in the text."""

    def __init__(self, config: OwlConfig) -> None:
        super().__init__()
        sizes, text_width = config.visual_abstractor_config, config.text_config.hidden_size
        shape = (1, config.num_query_tokens, sizes.hidden_size)
        self.query_tokens = nn.Parameter(torch.empty(shape))
        self.temporal_query_tokens = nn.Parameter(torch.empty(shape))
        self.layers = nn.ModuleList(AbstractorLayer(sizes) for _ in range(sizes.num_hidden_layers))
        self.visual_fc = nn.Linear(sizes.hidden_size, text_width)
        self.temporal_visual_fc = nn.Linear(sizes.hidden_size, text_width)
        self.vit_eos = nn.Parameter(torch.empty(1, 1, text_width))

    def forward(self, states: Tensor) -> Tensor:
        """Summarise videos.

        Args:
            states: Vision states of shape (B, T, N, C).

        Returns:
            Embeddings of shape (B, queries + 1, text width); the last is the end mark.
        """
        batch, time = states.shape[:2]
        encoded = states.flatten(1, 2)
        learned: list[Tensor] = [self.query_tokens, self.temporal_query_tokens]
        queries = torch.cat(learned[: 2 if time > 1 else 1], dim=1).expand(batch, -1, -1)
        for layer in self.layers:
            queries = layer(queries, encoded)
        count = self.query_tokens.shape[1]
        output = self.visual_fc(queries[:, :count])
        if time > 1:
            output = output + self.temporal_visual_fc(queries[:, count:])
        return torch.cat([output, self.vit_eos.expand(batch, -1, -1)], dim=1)


class AbstractorLayer(nn.Module):
    """Queries attend to themselves and to the frames, then a gated feed-forward.

    The residual restarts from the *normalised* queries, as in the original.
    """

    def __init__(self, sizes: AbstractorSizes) -> None:
        super().__init__()
        width, ffn = sizes.hidden_size, sizes.ffn_width
        self.heads = sizes.num_attention_heads
        # norm1, normk and norm2 have torch's default epsilon; only ffn_ln has the configured one.
        self.norm1 = nn.LayerNorm(width)
        self.normk = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.w1 = nn.Linear(width, ffn)
        self.w2 = nn.Linear(ffn, width)
        self.w3 = nn.Linear(width, ffn)
        self.ffn_ln = nn.LayerNorm(ffn, eps=sizes.layer_norm_eps)

    def forward(self, queries: Tensor, encoded: Tensor) -> Tensor:
        """Queries (B, Q, C) and frame states (B, S, C) to queries (B, Q, C)."""
        normed = self.norm1(queries)
        sources = torch.cat([normed, self.normk(encoded)], dim=1)
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(normed)),
            self._split(self.key(sources)),
            self._split(self.value(sources)),
        )
        states = normed + self.out_proj(attended.transpose(1, 2).flatten(2))
        hidden = self.norm2(states)
        gated = self.ffn_ln(functional.silu(self.w1(hidden)) * self.w3(hidden))
        output: Tensor = states + self.w2(gated)
        return output

    def _split(self, states: Tensor) -> Tensor:
        batch, length, _ = states.shape
        return states.view(batch, length, self.heads, -1).transpose(1, 2)
