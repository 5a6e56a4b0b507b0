"""The whole model: video and text in, next-token scores out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from .abstractor import Abstractor
from .config import OwlConfig, language_arguments
from .tokens import MEDIA
from .vision import VisionTower


class OwlModel(nn.Module):
    """Vision tower, abstractor and LLaMA."""

    def __init__(self, config: OwlConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision_config)
        self.abstractor = Abstractor(config)
        arguments = language_arguments(config.text_config)
        self.language = LlamaForCausalLM(LlamaConfig(**arguments))

    def encode(self, pixels: Tensor) -> Tensor:
        """Videos of shape (B, 3, T, H, W) to embeddings of shape (B, media tokens, width)."""
        output: Tensor = self.abstractor(self.vision(pixels))
        return output

    def embed(self, ids: Tensor, media: Tensor | None = None) -> Tensor:
        """Token embeddings with the video in its places.

        Args:
            ids: Token ids of shape (B, L); :data:`MEDIA` marks the video's places, the same
                number in every row.
            media: Embeddings of shape (B, media tokens, width), if there are such places.

        Returns:
            Embeddings of shape (B, L, width).
        """
        places = ids == MEDIA
        embeddings: Tensor = self.language.get_input_embeddings()(ids.masked_fill(places, 0))
        if media is None:
            return embeddings
        return embeddings.masked_scatter(places.unsqueeze(-1), media.to(embeddings.dtype))

    def logits(self, ids: Tensor, media: Tensor) -> Tensor:
        """Next-token scores at every position, without padding or cache.

        Args:
            ids: Shape (B, L), all rows of one length.
            media: Shape (B, media tokens, width).

        Returns:
            Shape (B, L, vocabulary), float32.
        """
        embeddings = self.embed(ids, media)
        mask = torch.ones_like(ids)
        output = self.language(inputs_embeds=embeddings, attention_mask=mask, use_cache=False)
        scores: Tensor = output.logits.float()
        return scores
