"""Chain-of-thought triples from the simulated world: reasoning that follows from what happens.

Each prompt is read as the world reads it, its scene is simulated lawfully, and the lines say what
was measured there. Which outcomes the target prompt states is drawn at random from sentences that
hold for every lawful scene of the family, some of them about nothing physical: stage 1 teaches the
form, and it is left to stage 2 to find out which sentences help a generator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from phybench.plugins.contracts import Prompt
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought
from phybench.tabletop.texts.language import Understanding, understand
from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.families import FAMILIES, build_scene, draw_looks
from phybench.tabletop.world.simulate import Trajectory, simulate

from .copying import SYLLABLES
from .triples import Triple, triple

_MOST_SENTENCES = 4
_SYNONYM_SHARE = 0.35
"""Share of the words with synonyms that a variant replaces, where the event stays the same."""
_SWAP_SHARE = 0.75
"""Share of variants in which words of the prompt are swapped for made-up or stray ones."""
_STRAY_SHARE, _SPLICED_SHARE = 0.3, 0.4
"""Shares of these that are words from the lines of reasoning, so that a word which usually goes on
in a certain way there does not take a prompt that way, too, and that are spliced from the beginning
of one word and the end of another, so that every piece of the tokenizer is copied in other company
than its own: a piece that is only ever seen in one word is not copied in a new one."""
_CAPITAL_SHARE = 0.15
"""Share of spliced words with a capital: any word can begin a prompt."""
_MOST_SWAPS = 6
_SHUFFLE_SHARE = 0.2
"""Share of variants whose words are shuffled: what they are about has then to be told from any of
them, and nothing but copying keeps their order."""
_LETTERS = re.compile(r"[A-Za-z]{2,}|\bA\b")
_STILL = 4.0
"""Units per second below which a thing looks at rest (a clip is 64 units wide)."""


def tabletop_triples(prompts: Sequence[Prompt], variants: int, seed: int) -> list[Triple]:
    """Triples for the prompts that the world understands.

    Args:
        prompts: Training prompts.
        variants: Triples per prompt. From the second on, some have words swapped for made-up ones,
            so that a model learns to copy the user's words and not only the set's few nouns, and
            most have synonyms, which a model that was trained on more than this would know.
        seed: Of every draw.
    """
    made = []
    for prompt in prompts:
        read = understand(prompt.text)
        if read.family in FAMILIES:
            for variant in range(variants):
                chance = Chance(seed * 1_000_003 + variant)
                made.append(_triple(prompt, read, chance, seed, swaps=variant > 0))
    return made


def _triple(
    prompt: Prompt, read: Understanding, chance: Chance, seed: int, *, swaps: bool
) -> Triple:
    facts = _physics()["families"][read.family]
    text = _reworded(prompt.text, chance, prompt.id) if swaps else prompt.text
    if swaps and chance.uniform(f"{prompt.id}/shuffle") < _SHUFFLE_SHARE:
        text = _shuffled(text, chance, prompt.id)
    if swaps and chance.uniform(f"{prompt.id}/swap") < _SWAP_SHARE:
        text = _swapped(text, chance, prompt.id)
    chain = ChainOfThought(
        law=facts["law"],
        motion=_motion(read.family, read.outcome, seed),
        forces=facts["forces"],
        materials=_materials(read),
        environment=facts["environment"],
        prompt=" ".join([text.rstrip(), *_sentences(read.family, chance, prompt.id)]),
    )
    return triple(text, chain, "tabletop")


@cache
def _physics() -> Mapping[str, Any]:
    text = (
        resources.files("phybench.training.data")
        .joinpath("tabletop_physics.json")
        .read_text("utf-8")
    )
    data: Mapping[str, Any] = json.loads(text)
    return data


def sentences(family: str) -> tuple[str, ...]:
    """The sentences that a target prompt of a family may state."""
    return (*_physics()["families"][family]["outcomes"], *_physics()["any"])


def _sentences(family: str, chance: Chance, name: str) -> list[str]:
    count = 1 + int(chance.uniform(f"{name}/count") * _MOST_SENTENCES)
    pool = sorted(sentences(family), key=lambda text: chance.uniform(f"{name}/{text}"))
    return pool[:count]


@cache
def _motion(family: str, outcome: str, seed: int) -> str:
    """What the lawful simulation of the event does, in words."""
    looks = draw_looks(family, Chance(seed))
    done = simulate(build_scene(family, looks, seed, outcome=outcome))
    if done.pour is not None:
        return "the liquid runs from the upper vessel into the lower one"
    return _described(done)


def _described(done: Trajectory) -> str:
    import numpy as np

    track = max(done.tracks, key=lambda one: float(np.ptp(one.x) + np.ptp(one.y)))
    fall = float(track.y[0] - track.y.min())
    speed = np.hypot(track.vx, track.vy)
    how = "falls" if fall > float(np.ptp(track.x)) else "moves along"
    peak = float(done.times[int(speed.argmax())])
    end = "at rest" if float(speed[-1]) < _STILL else "still moving"
    return f"it {how}, fastest at {peak:.1f} s, {end} after {float(done.times[-1]):.1f} s"


def _materials(read: Understanding) -> str:
    if read.family == "pour":
        return "a liquid in firm vessels"
    return "solid things that keep their form"


@cache
def _synonyms() -> tuple[re.Pattern[str], Mapping[str, Sequence[str]]]:
    """A pattern that finds every word with synonyms, and its synonyms."""
    text = resources.files("phybench.training.data").joinpath("tabletop_synonyms.json")
    groups: Sequence[Sequence[str]] = json.loads(text.read_text("utf-8"))
    known = {
        word: [other for other in group if other != word] for group in groups for word in group
    }
    words = "|".join(re.escape(word) for word in sorted(known, key=len, reverse=True))
    return re.compile(rf"\b(?:{words})\b"), known


def _reworded(text: str, chance: Chance, name: str) -> str:
    """The text with synonyms; the text itself if the world reads another event in them."""
    pattern, known = _synonyms()

    def other(match: re.Match[str]) -> str:
        if chance.uniform(f"{name}/synonym/{match.start()}") > _SYNONYM_SHARE:
            return match.group()
        return chance.choice(f"{name}/which/{match.start()}", known[match.group()])

    changed = pattern.sub(other, text)
    return changed if understand(changed).family == understand(text).family else text


def _shuffled(text: str, chance: Chance, name: str) -> str:
    words = list(enumerate(text.split()))
    words.sort(key=lambda word: chance.uniform(f"{name}/order/{word[0]}"))
    return " ".join(word for _, word in words)


def _swapped(text: str, chance: Chance, name: str) -> str:
    """The text with one to six of its words replaced by made-up or stray ones."""
    places = [match.span() for match in _LETTERS.finditer(text)]
    places.sort(key=lambda span: chance.uniform(f"{name}/place/{span[0]}"))
    chosen = places[: 1 + int(chance.uniform(f"{name}/swaps") * _MOST_SWAPS)]
    for start, end in sorted(chosen, reverse=True):
        word = _foreign(chance, f"{name}/{start}")
        text = text[:start] + (word.capitalize() if text[start].isupper() else word) + text[end:]
    return text


def _foreign(chance: Chance, name: str) -> str:
    kind = chance.uniform(f"{name}/kind")
    if kind < _STRAY_SHARE:
        return chance.choice(f"{name}/word", _words())
    if kind < _STRAY_SHARE + _SPLICED_SHARE:
        return _spliced(chance, name)
    syllables = 1 + int(chance.uniform(f"{name}/length") * 3)
    return "".join(chance.choice(f"{name}/{at}", SYLLABLES) for at in range(syllables))


def _spliced(chance: Chance, name: str) -> str:
    known = (*_words(), *_synonyms()[1])
    first, second = (chance.choice(f"{name}/{part}", known) for part in ("first", "second"))
    cut = 1 + int(chance.uniform(f"{name}/cut") * (len(first) - 1))
    word = first[:cut] + second[int(chance.uniform(f"{name}/rest") * len(second)) :]
    return word.capitalize() if chance.uniform(f"{name}/capital") < _CAPITAL_SHARE else word


@cache
def _words() -> tuple[str, ...]:
    """The words of the lines of reasoning and of the outcomes."""
    families = _physics()["families"].values()
    lines = [line for facts in families for line in (*facts.values(), *facts["outcomes"])]
    text = " ".join(line for line in lines if isinstance(line, str))
    return tuple(sorted(set(re.findall(r"[a-z]{2,}", text.lower()))))
