"""Tokenizers of a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = (  # noqa: SIM905
    "a the ball rolls down hill red cube falls on wooden table slowly water pours into glass and "
    "spills bounces slides stops man throws stone box stacked collapses heavy light"
).split()


def t5_tokenizer(limit: int = 226) -> Any:
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in WORDS), *_letters()]
    return T5Tokenizer(
        vocab=[(piece, -float(index)) for index, piece in enumerate(pieces)],
        extra_ids=4,
        model_max_length=limit,
    )


def _letters() -> list[str]:
    return [chr(code) for code in range(ord("!"), ord("~") + 1)]


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    symbols = _byte_symbols()
    pieces = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def save_clip_tokenizer(folder: Path) -> None:
    """Write the tokenizer as public CLIP repositories have it."""
    clip_tokenizer().save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(clip_tokenizer().get_vocab()))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def _byte_symbols() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def qwen_tokenizer() -> Any:
    from transformers import Qwen2Tokenizer

    pieces = [*_byte_symbols(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[],
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer


def word_tokenizer() -> Any:
    """One token per word, as the real Llama and Gemma tokenizers do for common words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<pad>", "<bos>", "<eos>", "<unk>", *WORDS, *_letters()]
    tokenizer = Tokenizer(
        models.WordLevel(
            {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}, "<unk>"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )
