"""CLIP's text tokens, as the two Stable-Diffusion-style ports need them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

CONTEXT = 77
"""Tokens that CLIP's text encoders read."""


def load_clip_tokenizer(folder: Path) -> Any:
    """CLIP's byte-pair tokenizer, with no text that doubles as padding.

    Some repositories (Stable Diffusion 2) pad with ``!``, which would turn an exclamation mark in
    a prompt into padding.
    """
    from transformers import CLIPTokenizer

    end = "<|endoftext|>"
    return CLIPTokenizer.from_pretrained(folder, pad_token=end, local_files_only=True)


def clean_text(text: str) -> str:
    """OpenCLIP's cleaning: mended characters, entities resolved twice, spaces collapsed, lower."""
    import ftfy

    resolved = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", resolved).strip().lower()


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Start mark, tokens, end mark; neither cut nor padded."""
    return list(tokenizer(text, add_special_tokens=True, truncation=False)["input_ids"])


def fit(ids: list[int], padding: int) -> list[int]:
    """Cut to the context, keeping the end mark last, or pad up to it."""
    cut = ids if len(ids) <= CONTEXT else [*ids[: CONTEXT - 1], ids[-1]]
    return cut + [padding] * (CONTEXT - len(cut))
