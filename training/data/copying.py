"""What a model with random weights learns first: to repeat what stands before.

A pretrained model can copy. One that starts from nothing has to learn it before it can keep a
subject that it never saw, and learns it soonest from strings in which nothing but a repetition can
be predicted: the loss lies on the repetitions alone, and the gaps between them vary, so that where
to copy from follows from what stands there and not from how far back it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

ROW_TOKENS = 112
"""Length of a row: twice a long prompt and the gaps between."""
_SHORTEST, _LONGEST = 4, 36
"""Tokens of a string that is repeated; prompts of the simulated world have 8 to 40."""
_MOST_GAP = 12
_FEW = (4, 16)
"""Tokens among which half of a string with echoes is drawn: what follows a token is then told by
the tokens before it, as it is for the "a" and "small" of a sentence."""
SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en"))
"""What made-up words are made of."""
_MADE_UP, _STRAY = 0.35, 0.25
"""Shares of a sentence's words that become made-up words, and words from other sentences."""
IGNORED = -100
"""Label of tokens without loss, as transformers has it."""

Row = dict[str, list[int]]
Encode = Callable[[str], list[int]]


def copying_rows(
    texts: Sequence[str], encode: Encode, ids: Sequence[int], count: int, seed: int
) -> list[Row]:
    """Rows for a causal language model: a third each random strings, with echoes, and sentences.

    Args:
        texts: Whose words are jumbled.
        encode: Token ids of a text, without marks.
        ids: Tokens that random strings are made of.
        count: Rows to make.
        seed: Of every draw.

    Returns:
        ``input_ids`` and ``labels``, each of :data:`ROW_TOKENS` numbers.
    """
    draw = random.Random(seed)
    words = sorted({word for text in texts for word in re.findall(r"[a-z]{3,}", text)})

    def string() -> list[int]:
        kind, length = draw.randrange(3), draw.randint(_SHORTEST, _LONGEST)
        if kind == 0:
            return [draw.choice(ids) for _ in range(length)]
        if kind == 1:
            few = [draw.choice(ids) for _ in range(draw.randint(*_FEW))]
            return [draw.choice(few if draw.random() < 0.5 else ids) for _ in range(length)]
        return encode(" " + jumbled(draw.choice(texts), words, draw))[:_LONGEST]

    return [_row(string(), ids, draw) for _ in range(count)]


def _row(string: Sequence[int], ids: Sequence[int], draw: random.Random) -> Row:
    """The string again and again with random gaps; its first time and the gaps carry no loss."""
    tokens: list[int] = []
    labels: list[int] = []
    while len(tokens) < ROW_TOKENS:
        gap = [draw.choice(ids) for _ in range(draw.randint(0, _MOST_GAP))]
        # Nothing tells that a repetition begins, so its first token is not to be predicted.
        learnt = string[1:] if labels else [IGNORED] * (len(string) - 1)
        tokens += [*gap, *string]
        labels += [*[IGNORED] * len(gap), IGNORED, *learnt]
    return {"input_ids": tokens[:ROW_TOKENS], "labels": labels[:ROW_TOKENS]}


def jumbled(text: str, words: Sequence[str], draw: random.Random) -> str:
    """A sentence of the same length in which most words are others, many of them made up."""
    return " ".join(_other(word, words, draw) for word in text.rstrip(".").split()) + "."


def made_up(draw: random.Random) -> str:
    """A word of one to three syllables."""
    return "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(1, 3)))


def _other(word: str, words: Sequence[str], draw: random.Random) -> str:
    chance = draw.random()
    if chance < _MADE_UP:
        return made_up(draw)
    return draw.choice(words) if chance < _MADE_UP + _STRAY else word
