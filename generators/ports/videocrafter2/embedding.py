"""VideoCrafter2's time embedding, which is told the frame rate as well."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import TimestepEmbedding
from torch import nn


class TimeAndRateEmbedding(nn.Module):
    """Embeds the timestep and adds the embedding of the frame rate.

    diffusers' UNet hands its ``timestep_cond`` to the time embedding as ``condition``, which is how
    the rate gets here.

    Args:
        width: Values of either sinusoid.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time = TimestepEmbedding(width, 4 * width)
        self.fps = TimestepEmbedding(width, 4 * width)

    def forward(self, sample: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Embed sinusoids of the timestep and of the rate, (B, width) each, to (B, 4·width)."""
        summed: torch.Tensor = self.time(sample) + self.fps(condition)
        return summed
