"""Counting prompts as each pipeline does, because most of them cut long prompts silently."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .pipeline_traits import TextRule


def count_prompt_tokens(
    rule: TextRule, tokenizer: Any, texts: Sequence[str], call: Mapping[str, Any]
) -> list[int]:
    """Tokens of each text that count against the pipeline's budget, special tokens included.

    Args:
        rule: How the pipeline prepares text.
        tokenizer: The pipeline's own (main) tokenizer.
        texts: Prompts as they go into the pipeline.
        call: The pipeline's call arguments, which hold its templates.
    """
    return [_COUNTERS[rule](tokenizer, text, call) for text in texts]


def _length(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=True)["input_ids"])


def _plain(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    return _length(tokenizer, text)


def _strip(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    return _length(tokenizer, text.strip())


def _lower(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    return _length(tokenizer, text.lower().strip())


def _clean(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    """Wan's cleaning: broken characters mended, entities resolved twice, spaces collapsed."""
    import ftfy

    resolved = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _length(tokenizer, re.sub(r"\s+", " ", resolved).strip())


def _hunyuan(tokenizer: Any, text: str, call: Mapping[str, Any]) -> int:
    """The prompt sits in a system template whose first ``crop_start`` tokens are dropped."""
    template = call["prompt_template"]
    return _length(tokenizer, template["template"].format(text)) - int(template["crop_start"])


def _hunyuan15(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    """A chat of which the system message and the role marks, 108 tokens, are dropped."""
    from diffusers.pipelines.hunyuan_video1_5 import pipeline_hunyuan_video1_5 as module

    embed = inspect.signature(module.HunyuanVideo15Pipeline._get_mllm_prompt_embeds).parameters
    messages = module.format_text_input([text], embed["system_message"].default)
    length = _chat_length(tokenizer, messages[0], add_generation_prompt=True)
    return length - int(embed["crop_start"].default)


def _cosmos25(tokenizer: Any, text: str, _: Mapping[str, Any]) -> int:
    system = "You are a helpful assistant who will provide prompts to an image generator."
    messages = [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    return _chat_length(tokenizer, messages, add_generation_prompt=False)


def _chat_length(tokenizer: Any, messages: Any, *, add_generation_prompt: bool) -> int:
    encoded = tokenizer.apply_chat_template(
        list(messages),
        tokenize=True,
        return_dict=True,
        add_generation_prompt=add_generation_prompt,
    )
    return len(encoded["input_ids"])


def _sana(tokenizer: Any, text: str, call: Mapping[str, Any]) -> int:
    """An instruction stands before the prompt; the budget grows by its tokens less two."""
    prepared = text.lower().strip()
    instruction = "\n".join(call["complex_human_instruction"] or [])
    if not instruction:
        return _length(tokenizer, prepared)
    return _length(tokenizer, instruction + prepared) - len(tokenizer.encode(instruction)) + 2


_COUNTERS: Mapping[TextRule, Callable[[Any, str, Mapping[str, Any]], int]] = {
    "plain": _plain,
    "strip": _strip,
    "lower": _lower,
    "clean": _clean,
    "hunyuan": _hunyuan,
    "hunyuan15": _hunyuan15,
    "sana": _sana,
    "cosmos2.5": _cosmos25,
}
