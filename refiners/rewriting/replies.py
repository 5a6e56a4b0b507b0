"""Reading what a language model replied, without guessing.

A reply is a refinement or an error with a reason. Nothing here repairs a reply by falling back to
the user's prompt: an arm that did so would be partly the unrefined baseline, and nobody would know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from phybench.prompts.prompt_changes import is_refusal, latin_share

from . import chain_of_thought as reasoning
from .task import Language

PARSER_VERSION = 1
"""Changes whenever a reply could be read differently; part of fingerprints."""
_ECHO_WORDS = 8
"""A reply that repeats this many words in a row of our instructions has leaked them. Our choice."""
_MAX_CHARS = 100_000
"""Longest reply that is searched for JSON; far beyond any real one, it bounds the work."""
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_MARKUP = re.compile(
    r"</?(?:think|thinking|reasoning|analysis|prompt)\b[^>]*>|```|<\|", re.IGNORECASE
)
_PREAMBLE = re.compile(
    r"\A\W*(?:sure\b|certainly\b|of course\b|here(?:'s| is| are)\b[^.]{0,60}:|okay,|"
    r"(?:refined |rewritten |final |new )?prompt\s*:|reasoning\s*:|analysis\s*:|"
    r"step 1\b|let(?:'s| us| me) (?:think|analy[sz]e|break))",
    re.IGNORECASE,
)
_LATER_LABEL = re.compile(
    r"(?:\A|[.\n]\s*)\**(?:reasoning|analysis|explanation|note|(?:refined|rewritten|final) prompt)"
    r"\**\s*:",
    re.IGNORECASE,
)


class ReplyError(ValueError):
    """A reply that is no refinement.

    Args:
        kind: ``parse``, ``empty``, ``refusal``, ``leak`` or ``language``.
        message: What was wrong with it.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What a usable reply says.

    Args:
        prompt: The rewritten prompt, in one line.
        reasoning: The reasoning before it; empty if the format has none.
    """

    prompt: str
    reasoning: str = ""


def read_json_reply(reply: str) -> Rewrite:
    """Read a reply that holds one JSON object with ``reasoning`` and ``prompt``.

    Raises:
        ReplyError: As :func:`read_object`.
    """
    value = read_object(reply, ("reasoning", "prompt"))
    return Rewrite(prompt=one_line(value["prompt"]), reasoning=value["reasoning"].strip())


def read_object(reply: str, keys: Sequence[str]) -> dict[str, str]:
    """Read a reply that holds one JSON object with a text under each key.

    Prose or a code fence around the object and a thinking block before it are accepted, since not
    every server can enforce a schema.

    Raises:
        ReplyError: ``parse`` if there is no such object, or two that differ; ``refusal``.
    """
    if len(reply) > _MAX_CHARS:
        raise ReplyError("parse", f"Expected at most {_MAX_CHARS} characters, got {len(reply)}.")
    answer = _THINKING.sub("", reply)
    found = {
        tuple(value[key] for key in keys)
        for value in _objects(answer)
        if all(isinstance(value.get(key), str) for key in keys)
    }
    if not found and is_refusal(answer):
        raise ReplyError("refusal", "The model refused to answer.")
    if len(found) != 1:
        names = " and ".join(f"`{key}`" for key in keys)
        raise ReplyError(
            "parse", f"Expected one JSON object with the texts {names}, got {len(found) or 'none'}."
        )
    return dict(zip(keys, found.pop(), strict=True))


def read_text(reply: str) -> Rewrite:
    """Read a reply that is nothing but the rewritten prompt."""
    return Rewrite(prompt=one_line(_THINKING.sub("", reply)))


def read_reasoning(reply: str) -> Rewrite:
    """Read a reply in PhyPrompt's chain-of-thought format.

    Raises:
        ReplyError: ``parse``, or ``refusal``.
    """
    try:
        chain = reasoning.parse(reply)
    except reasoning.ReasoningFormatError as error:
        kind = "refusal" if is_refusal(reply) else "parse"
        raise ReplyError(kind, str(error)) from error
    return Rewrite(prompt=chain.prompt, reasoning=chain.reasoning)


READERS = {"json": read_json_reply, "text": read_text, "reasoning": read_reasoning}
"""How a reply can be written."""


def check_rewrite(rewrite: Rewrite, *, prompt: str, instructions: str, language: Language) -> None:
    """Refuse a rewritten prompt that would hand something else to the generator.

    Args:
        rewrite: What the reply says.
        prompt: The user's prompt.
        instructions: The system prompt, which must not show up in the reply.
        language: What was asked for.

    Raises:
        ReplyError: ``empty``, ``refusal``, ``leak`` (reasoning, comments, markup or our own
            instructions in the prompt) or ``language``.
    """
    text = rewrite.prompt
    if not any(char.isalnum() for char in text):
        raise ReplyError("empty", "Expected a rewritten prompt, but it is empty.")
    if is_refusal(text) and not is_refusal(prompt):
        raise ReplyError("refusal", "The model refused to rewrite the prompt.")
    for pattern in (_MARKUP, _PREAMBLE, _LATER_LABEL):
        found = pattern.search(text)
        if found and not pattern.search(prompt):
            raise ReplyError("leak", f"Expected only a prompt, but it holds {found.group()!r}.")
    if len(rewrite.reasoning) > len(prompt) and one_line(rewrite.reasoning) in text:
        raise ReplyError("leak", "Expected only a prompt, but the reasoning stands in it.")
    if _shingles(text) & _known_shingles(instructions) - _shingles(prompt):
        raise ReplyError("leak", "Expected only a prompt, but it repeats our instructions.")
    if language == "english" and latin_share(text) < 0.5:
        raise ReplyError("language", "Expected English, but most letters are not Latin.")


def one_line(text: str) -> str:
    """A text with every run of white space as one space."""
    return " ".join(text.split())


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    starts = range(len(words) - _ECHO_WORDS + 1)
    return frozenset(tuple(words[at : at + _ECHO_WORDS]) for at in starts)


_known_shingles = lru_cache(maxsize=8)(_shingles)
"""The same instructions are looked for in every reply."""


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text that stands in no other."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except RecursionError:
            return
        except ValueError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)
