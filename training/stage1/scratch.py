"""A small Qwen2-architecture language model made from nothing, with a tokenizer of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..recipe.parts import Scratch

END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'user' %}{{ ' ' }}{% endif %}"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's turn marks (ChatML). The user's first word has a space before it, as after ``Prompt:``, so
that it has the same pieces in both places and can be copied."""
LOOK_BACK_HEADS = 2
LOOK_BACK_FREQUENCIES = 6
LOOK_BACK_STRENGTH = 5.0
"""Heads that begin by looking one token back, the rotary frequencies (of a head's fastest) and the
size of the biases that make them; our choice: with it a model of 1 million weights learns to copy
in about 200 steps, without it not in 400."""


def build_scratch(shape: Scratch, texts: Iterable[str], seed: int, folder: Path) -> None:
    """Write a model with random weights and a tokenizer learnt from texts.

    Args:
        shape: Its size.
        texts: What the byte-level BPE is learnt from; any text can be encoded afterwards.
        seed: Of the weights.
        folder: Where; made if absent.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    tokenizer = _tokenizer(texts, shape.vocabulary)
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            intermediate_size=shape.hidden * 3,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    _look_back(model)
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])  # type: ignore[no-untyped-call]
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _look_back(model: Any) -> None:
    """Let the first layer's first heads begin by attending to the token before.

    To copy, a model must know what stood before each token. From random weights it finds that out
    late and by chance, here it starts from it: in six rotary frequencies the biases of query and
    key are equal but for the angle that one position turns by, so their product is largest there.
    All of it is trained afterwards.
    """
    import torch

    attention = model.model.layers[0].self_attn
    size, theta = attention.head_dim, model.config.rope_parameters["rope_theta"]
    half = size // 2
    angle = theta ** (-torch.arange(half) / half)
    strength = LOOK_BACK_STRENGTH * (torch.arange(half) < LOOK_BACK_FREQUENCIES)
    with torch.no_grad():
        for head in range(min(LOOK_BACK_HEADS, model.config.num_attention_heads)):
            first, middle, last = head * size, head * size + half, (head + 1) * size
            for side in (attention.q_proj, attention.k_proj):
                side.weight[first:last] *= 0.1
            attention.k_proj.bias[first:middle] = strength
            attention.q_proj.bias[first:middle] = strength * angle.cos()
            attention.q_proj.bias[middle:last] = -strength * angle.sin()


def _tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    # Whole words and their spaces, so that the pieces of a word are the same wherever it stands.
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, eos_token=END, pad_token=PAD
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
