"""Keeping evaluation prompts out of training data: exact, by word sequences, by meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phybench.prompts.prompt_changes import Embed
from phybench.prompts.prompt_sets import load_prompts

from .triples import Triple

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Data without what repeats an evaluation prompt.

    Args:
        samples: What is left.
        exact: Triples whose prompt or target is an evaluation prompt, but for case and punctuation.
        overlapping: Triples that share a sequence of ``ngram`` words with one.
        similar: Of the rest, triples whose embedding is close to one's.
        against: Evaluation sets that were looked at, with their digests.
    """

    samples: tuple[Triple, ...]
    exact: int
    overlapping: int
    similar: int
    against: dict[str, str]


@dataclass(frozen=True, slots=True)
class Closeness:
    """When two texts mean the same.

    Args:
        embed: Sentence embeddings of texts.
        limit: Cosine from which a text repeats another, in (0, 1].
    """

    embed: Embed
    limit: float


def without_test_prompts(
    samples: Sequence[Triple],
    sets: Iterable[str],
    ngram: int,
    closeness: Closeness | None = None,
) -> Cleaned:
    """Drop every triple that repeats a prompt of the evaluation sets.

    Args:
        samples: The data.
        sets: Prompt sets, by bundled name or file.
        ngram: Words in a row that count as repeated; shorter prompts count as a whole.
        closeness: When prompt or target repeat a prompt in other words; ``None`` does not look.

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
    others = [prompt.text for one in loaded for prompt in one.prompts]
    different = _different(left, others, closeness) if closeness and left and others else left
    similar = len(left) - len(different)
    return Cleaned(tuple(different), exact, overlapping, similar, digests)


def _different(
    samples: Sequence[Triple], others: Sequence[str], closeness: Closeness
) -> list[Triple]:
    """The triples neither of whose texts is close to any of the others."""
    texts = sorted({text for one in samples for text in (one.prompt, one.chain.prompt)})
    targets = _directions(closeness.embed(others))
    nearest = (_directions(closeness.embed(texts)) @ targets.T).max(axis=1)
    close = {text for text, cosine in zip(texts, nearest, strict=True) if cosine >= closeness.limit}
    return [one for one in samples if not close.intersection((one.prompt, one.chain.prompt))]


def _directions(vectors: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    found = np.asarray(vectors, float)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    directions: NDArray[np.float64] = found / np.maximum(lengths, np.finfo(float).tiny)
    return directions


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _ngrams(words: tuple[str, ...], size: int) -> Iterable[tuple[str, ...]]:
    return (words[at : at + size] for at in range(len(words) - size + 1))
