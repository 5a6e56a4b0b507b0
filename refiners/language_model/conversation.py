"""Conversations as the tokens of a local model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .engine import Message


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint, from the folder alone."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def encode(tokenizer: Any, conversation: Sequence[Message]) -> list[int]:
    """Token ids of a conversation, up to where the model's reply begins.

    Control marks that a user typed (``<|im_end|>``) are broken up first, so that a prompt cannot
    end its own turn and speak as somebody else.
    """
    marks = [mark for mark in tokenizer.get_added_vocab() if len(mark.strip()) > 1]
    safe = [
        {"role": turn["role"], "content": _disarmed(turn["content"], marks)}
        for turn in conversation
    ]
    text = tokenizer.apply_chat_template(safe, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _disarmed(text: str, marks: Sequence[str]) -> str:
    for mark in marks:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text
