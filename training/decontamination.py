"""Keeping evaluation prompts out of training data: exact matches and shared word sequences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phybench.prompts import load_prompts
from phybench.training.cot import Triple

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Data without what repeats an evaluation prompt.

    Args:
        samples: What is left.
        exact: Triples whose prompt or target is an evaluation prompt, but for case and punctuation.
        overlapping: Triples that share a sequence of ``ngram`` words with one.
        against: Evaluation sets that were looked at, with their digests.
    """

    samples: tuple[Triple, ...]
    exact: int
    overlapping: int
    against: dict[str, str]


def clean(samples: Sequence[Triple], sets: Iterable[str], ngram: int) -> Cleaned:
    """Drop every triple that repeats a prompt of the evaluation sets.

    Args:
        samples: The data.
        sets: Prompt sets, by bundled name or file.
        ngram: Words in a row that count as repeated; shorter prompts count as a whole.

    Raises:
        ConfigError: If a prompt set cannot be loaded.
    """
    loaded = [load_prompts(name) for name in sets]
    texts = [_words(prompt.text) for one in loaded for prompt in one.prompts]
    whole = set(texts)
    parts = {part for text in texts for part in _ngrams(text, ngram)}
    left, exact, overlapping = [], 0, 0
    for sample in samples:
        own = (_words(sample.prompt), _words(sample.chain.prompt))
        if whole.intersection(own):
            exact += 1
        elif any(part in parts for text in own for part in _ngrams(text, ngram)):
            overlapping += 1
        else:
            left.append(sample)
    digests = {one.name: one.sha256 for one in loaded}
    return Cleaned(tuple(left), exact, overlapping, digests)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _ngrams(words: tuple[str, ...], size: int) -> Iterable[tuple[str, ...]]:
    return (words[at : at + size] for at in range(len(words) - size + 1))
