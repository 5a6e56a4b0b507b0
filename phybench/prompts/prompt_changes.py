"""What a refinement did to a prompt, measured without a model.

These are measurements, not verdicts: a word that is gone may have been replaced by a better one.
They show where to look, and they show a refiner that drifts (longer and longer prompts, numbers
lost, the same text for everyone) before the scores do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Sentence embeddings: one vector per text."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# "one" is mostly a pronoun or an article in captions ("one of the boys"), so it is no number.
_NUMBER_WORDS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
}
_STOP_WORDS_TEXT = (
    "a an and are as at be been being but by can does for from had has have he her his how if in "
    "into is it its of off on onto one or out over she so some such than that the their them then "
    "there these they this those through to under up very was were what when where which while "
    "who will with"
)
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
_PHYSICS_TEXT = (
    "accelerate acceleration air arc balance bounce buoyancy buoyant bend break collide collision "
    "compress conserve curve damp decelerate deceleration deform density displace drag drop "
    "elastic elasticity energy equilibrium evaporate fall float flow fluid force fragment friction "
    "gravity grip heat heavy impact impulse inertia kinetic lever lift light mass melt momentum "
    "motion oscillate parabola parabolic pendulum pressure pull push rebound recoil reflection "
    "refraction resistance ripple rigid roll rotate rotation shatter sink slide slow speed spill "
    "spin splash spread stiff surface swing tension thrust tilt topple torque trajectory upward "
    "velocity vibrate vibration viscous wave weight"
)
_REFUSAL = re.compile(
    r"\A\W*(?:(?:i['’]?m|i am|we['’]?re) (?:very |so |really )?(?:sorry|unable|not able)\b"
    r"|sorry,? (?:but )?(?:i|we)\b"
    r"|i (?:cannot|can['’]?t|can not|won['’]?t|will not|must decline)\b"
    r"|(?:unfortunately|apologies|i apologi[sz]e),?\b.{0,40}\b(?:can(?:no|['’])t|unable)"
    r"|as an? (?:ai|language model)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PromptChanges:
    """What happened between a prompt and its refinement.

    Args:
        words: Words of the refinement.
        growth: Words of the refinement per word of the prompt.
        tokens: Length in the generator's tokens, if it counts them.
        truncated: Whether the generator cuts the text, if it says how much it reads.
        similarity: Cosine of the sentence embeddings in -1..1, if there is an embedding model.
        unchanged: Whether the text is the prompt, but for case and white space.
        refusal: Whether the text reads like a refusal.
        lost_numbers: Numbers of the prompt that the refinement does not hold.
        lost_words: Content words of the prompt that it does not hold, in any inflection.
        added_physics: Words of our physics list that it holds and the prompt does not.
    """

    words: int
    growth: float
    tokens: int | None
    truncated: bool | None
    similarity: float | None
    unchanged: bool
    refusal: bool
    lost_numbers: tuple[str, ...]
    lost_words: tuple[str, ...]
    added_physics: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


def find_changes(
    prompt: str,
    refinement: str,
    *,
    tokens: int | None = None,
    budget: int | None = None,
    similarity: float | None = None,
) -> PromptChanges:
    """Compare a refinement with the prompt it was made from.

    Args:
        prompt: The user's text.
        refinement: What the refiner made of it.
        tokens: Length of the refinement in the generator's tokens.
        budget: Tokens that the generator reads.
        similarity: From :func:`similarities`.
    """
    before, after = _words(prompt), _words(refinement)
    stems_before, stems_after = {stem(word) for word in before}, {stem(word) for word in after}
    return PromptChanges(
        words=len(refinement.split()),
        growth=len(refinement.split()) / max(1, len(prompt.split())),
        tokens=tokens,
        truncated=None if tokens is None or budget is None else tokens > budget,
        similarity=similarity,
        unchanged=_folded(prompt) == _folded(refinement),
        refusal=is_refusal(refinement),
        lost_numbers=tuple(sorted(numbers(prompt) - numbers(refinement))),
        lost_words=_first_seen(
            word
            for word in before
            if word not in _STOP_WORDS
            and word not in _NUMBER_WORDS
            and stem(word) not in stems_after
        ),
        added_physics=_first_seen(
            word
            for word in after
            if stem(word) in _PHYSICS_STEMS and stem(word) not in stems_before
        ),
    )


def numbers(text: str) -> frozenset[str]:
    """Numbers in a text, digits and the words two to twelve alike (``2`` for both)."""
    digits = {
        found.replace(",", "") for found in _NUMBER.findall(unicodedata.normalize("NFKC", text))
    }
    return frozenset(
        digits | {_NUMBER_WORDS[word] for word in _words(text) if word in _NUMBER_WORDS}
    )


def is_refusal(text: str) -> bool:
    """Whether a text begins like a language model's refusal (English only)."""
    return bool(_REFUSAL.search(text))


def latin_share(text: str) -> float:
    """Share of a text's letters that belong to the Latin script, 1 if it has no letters."""
    letters = [char for char in text if char.isalpha()]
    latin = sum(unicodedata.name(char, "").startswith("LATIN ") for char in letters)
    return latin / len(letters) if letters else 1.0


def duplicates(texts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Groups of prompts that got the same refinement, by prompt id.

    Args:
        texts: Refinement by prompt id, for prompts that differ.

    Returns:
        One tuple of ids per refinement that occurs more than once, in order of first occurrence.
    """
    groups: dict[str, list[str]] = {}
    for name, text in texts.items():
        groups.setdefault(_folded(text), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def summary(diagnoses: Sequence[PromptChanges]) -> dict[str, Any]:
    """What a run reports of an arm: means and shares over its refinements, and frequent words.

    Shares and means of what was not measured are ``None``.
    """
    if not diagnoses:
        return {"n": 0}
    gained = Counter(word for one in diagnoses for word in one.added_physics)
    return {
        "n": len(diagnoses),
        "words_mean": fmean(one.words for one in diagnoses),
        "growth_mean": fmean(one.growth for one in diagnoses),
        "tokens_mean": _mean([one.tokens for one in diagnoses]),
        "truncated_share": _mean([one.truncated for one in diagnoses]),
        "similarity_mean": _mean([one.similarity for one in diagnoses]),
        "unchanged_share": fmean(one.unchanged for one in diagnoses),
        "refusal_share": fmean(one.refusal for one in diagnoses),
        "lost_number_share": fmean(bool(one.lost_numbers) for one in diagnoses),
        "lost_words_mean": fmean(len(one.lost_words) for one in diagnoses),
        "added_physics_mean": fmean(len(one.added_physics) for one in diagnoses),
        "added_physics_top": [word for word, _ in gained.most_common(10)],
    }


def similarities(pairs: Sequence[tuple[str, str]], embed: Embed) -> list[float]:
    """Cosine between the embeddings of each pair's texts, in -1..1."""
    if not pairs:
        return []
    import numpy as np

    texts = [text for pair in pairs for text in pair]
    vectors = np.asarray(embed(texts), dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [float(value) for value in (vectors[0::2] * vectors[1::2]).sum(axis=1)]


def stem(word: str) -> str:
    """A word without its English inflection: crude, but the same for both texts of a pair."""
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending) + ("y" if ending == "ies" else "")
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word.removesuffix("e")


_PHYSICS_STEMS = frozenset(stem(word) for word in _PHYSICS_TEXT.split())


def _words(text: str) -> list[str]:
    return [word.replace("’", "'").removesuffix("'s") for word in _WORD.findall(text.lower())]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _first_seen(words: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
