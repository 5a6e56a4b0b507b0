"""Made-up prompts that teach a new model one thing: to repeat the user's words.

A pretrained model can copy. One that starts from random weights has to learn it before it can keep
a subject that it never saw, and learns it far sooner from short samples in which nothing else is to
be predicted.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from phybench.contracts import Prompt
from phybench.refiners.reasoning import ChainOfThought
from phybench.training.cot import Triple, triple

SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en"))
"""What made-up words are made of."""
_MADE_UP, _STRAY = 0.35, 0.25
"""Shares of words that are replaced by made-up words, and by words from other prompts."""
_MOST_WORDS = 14
_ENDINGS = ("It keeps its size, shape and colour.", "The light stays soft and even.")


def copying_triples(prompts: Sequence[Prompt], count: int, seed: int) -> list[Triple]:
    """Triples whose reasoning is the same few words and whose target is the prompt with an ending.

    Args:
        prompts: Whose sentences and words are jumbled.
        count: How many to make.
        seed: Of every draw.
    """
    draw = random.Random(seed)
    words = sorted({word for prompt in prompts for word in re.findall(r"[a-z]{3,}", prompt.text)})
    made = []
    for _ in range(count):
        text = _jumbled(draw.choice(prompts).text, words, draw)
        target = f"{text} {draw.choice(_ENDINGS)}"
        chain = ChainOfThought("law", "it moves", "weight", "solid", "air", target)
        made.append(triple(text, chain, "copying"))
    return made


def _jumbled(text: str, words: Sequence[str], draw: random.Random) -> str:
    first = text.split(". ", maxsplit=1)[0].rstrip(".").split()[:_MOST_WORDS]
    return " ".join(_other(word, words, draw) for word in first) + "."


def _other(word: str, words: Sequence[str], draw: random.Random) -> str:
    chance = draw.random()
    if chance < _MADE_UP:
        return "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(1, 2)))
    return draw.choice(words) if chance < _MADE_UP + _STRAY else word
