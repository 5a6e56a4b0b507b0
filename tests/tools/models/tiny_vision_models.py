"""Small real vision-language models that write what a test wants, whatever they see."""

from __future__ import annotations

import numpy as np

ANSWERS = {
    "good": '{"sa": 4, "pc": 2, "violated_law": null, "reason": "", "assessable": true}',
    "prose": "four or five",
}
GO = "<go>"


def make_tokenizer(*marks):
    """A byte-level tokenizer in which each answer is one token; marks become special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE({piece: n for n, piece in enumerate(alphabet)}, [])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<image>", GO, *marks]})
    fast.add_tokens(list(ANSWERS.values()))
    return fast


def write_table(language, head, tokenizer):
    """After <go> the good answer with odds 3:1 against the other; after either, the end.

    Args:
        language: A LLaMA without its output layer.
        head: The weight of its output layer.
        tokenizer: From :func:`make_tokenizer`.
    """
    import torch

    go, end = tokenizer.convert_tokens_to_ids(GO), tokenizer.eos_token_id
    good, prose = (tokenizer.convert_tokens_to_ids(text) for text in ANSWERS.values())
    # A one-hot state is scaled to the square root of its width by the norm.
    scale = head.shape[1] ** 0.5
    with torch.no_grad():
        for layer in language.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        language.norm.weight.fill_(1)
        embeddings = language.embed_tokens.weight
        head.zero_()
        for axis, token in enumerate((go, good, prose)):
            embeddings[token] = 0
            embeddings[token, axis] = 1
        head[good, 0], head[prose, 0] = (20 + np.log(3)) / scale, 20 / scale
        head[end, 1] = head[end, 2] = 20 / scale
