"""Reading English: which event and things a text asks for, and which lawful outcomes it states.

The words are data (``lexicon.json``); this module only knows how to combine them. Any text can be
read: what is not understood is left out, and a text without any known word gives an empty
understanding.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

LONGEST = 512
"""Words that are read; what follows is cut off, as a text encoder of that length would."""
_LATER = 0.15
"""Weight of an event's cues after the first sentence that has any."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|[.!?;:\n]")
_BREAKS = frozenset(".!?;:\n")
_ARTICLES = frozenset({"a", "an", "the", "another", "second", "other", "its", "this", "that"})
_LINKING = frozenset({"is", "are", "was", "coloured", "colored", "painted"})


@dataclass(frozen=True, slots=True)
class Want:
    """One thing that a text asks for; empty where the text does not say.

    Args:
        role: Its role in the family (``subject``, ``striker``, ``target``, ``liquid``, ...).
        shape: ``ball``, ``cube``, ``triangle``, ``bar``, ``liquid`` or empty.
        colour: A key of :data:`phybench.tabletop.world.scene.COLOURS` or empty.
        size: ``small``, ``large`` or empty.
    """

    role: str
    shape: str = ""
    colour: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a text asks for and says.

    Args:
        family: The event, or empty if none is recognised.
        wants: The things, at most one per role.
        outcome: ``floats`` or ``sinks`` if the text says so.
        stated: Lawful outcomes that it states (keys of the lexicon's ``outcomes``).
        words: Number of words of the whole text.
        lead: Words before the first thing or event is mentioned.
    """

    family: str
    wants: tuple[Want, ...]
    outcome: str
    stated: frozenset[str]
    words: int
    lead: int

    def want(self, role: str) -> Want | None:
        """What is wanted for a role, if anything."""
        return next((want for want in self.wants if want.role == role), None)


@dataclass(frozen=True, slots=True)
class _Mention:
    """A noun with its adjectives, at a place in the text."""

    place: int
    noun: str
    shape: str
    colour: str
    size: str
    article: str


@cache
def lexicon() -> Mapping[str, Mapping[str, Any]]:
    """The words and rules, as in ``lexicon.json``."""
    text = resources.files("phybench.tabletop.texts").joinpath("lexicon.json").read_text("utf-8")
    data: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return data


@cache
def prevented_by(outcome: str) -> frozenset[str]:
    """Violations that a stated outcome makes less likely.

    Raises:
        KeyError: If there is no such outcome.
    """
    return frozenset(lexicon()["outcomes"][outcome]["prevents"])


def count_words(text: str) -> int:
    """Words of a text: runs of letters, with an inner apostrophe."""
    return sum(1 for token in _WORD.findall(_plain(text)) if token not in _BREAKS)


def understand(text: str) -> Understanding:
    """Read a text; never fails, whatever the text."""
    tokens = _WORD.findall(_plain(text))
    words = sum(1 for token in tokens if token not in _BREAKS)
    sentences = _sentences(_first_words(tokens))
    found = [_concepts_of(sentence) for sentence in sentences]
    flat = [token for sentence in sentences for token in sentence]
    mentions = _mentions(flat)
    family = _event(found)
    return Understanding(
        family=family,
        wants=_wants(family, _distinct(mentions), flat),
        outcome=_outcome(family, found),
        stated=_stated(found),
        words=words,
        lead=_lead(flat, mentions),
    )


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).lower().replace("-", " ")
    return re.sub(r"[^\S\n]+", " ", folded)


def _first_words(tokens: Sequence[str]) -> list[str]:
    kept: list[str] = []
    words = 0
    for token in tokens:
        words += token not in _BREAKS
        if words > LONGEST:
            break
        kept.append(token)
    return kept


def _sentences(tokens: Sequence[str]) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    for token in tokens:
        if token in _BREAKS:
            sentences.append([])
        else:
            sentences[-1].append(token)
    return [_joined(sentence) for sentence in sentences if sentence]


@cache
def _phrases() -> dict[tuple[str, ...], list[str]]:
    return {tuple(k.split()): str(v).split() for k, v in lexicon()["phrases"].items()}


def _joined(tokens: list[str]) -> list[str]:
    """The tokens with every known phrase replaced by its one-word sign."""
    phrases, result, index = _phrases(), [], 0
    while index < len(tokens):
        for length in (4, 3, 2):
            sign = phrases.get(tuple(tokens[index : index + length]))
            if sign:
                result += sign
                index += length
                break
        else:
            result.append(tokens[index])
            index += 1
    return result


@lru_cache(maxsize=4096)
def _concepts(token: str) -> frozenset[str]:
    """The concepts that a word can stand for."""
    if token.endswith(("n't", "n’t")):
        return frozenset({"not"})
    return frozenset(
        name
        for name, patterns in lexicon()["concepts"].items()
        if any(_fits(token, pattern) for pattern in patterns)
    )


def _fits(token: str, pattern: str) -> bool:
    return token.startswith(pattern[:-1]) if pattern.endswith("*") else token == pattern


def _concepts_of(sentence: Sequence[str]) -> frozenset[str]:
    literal = frozenset({"on", "back", "higher"}.intersection(sentence))
    return literal.union(*(_concepts(token) for token in sentence))


def _event(sentences: Sequence[frozenset[str]]) -> str:
    """The family whose cues weigh most; the first sentence with a cue counts most."""
    scores: dict[str, float] = {}
    weight = 1.0
    for concepts in sentences:
        if not concepts:
            continue
        seen = False
        for family, cues in lexicon()["events"].items():
            fitting = [w for needs, w in cues if concepts.issuperset(needs)]
            if fitting:
                scores[family] = scores.get(family, 0.0) + weight * max(fitting)
                seen = True
        if seen:
            weight = _LATER
    return max(scores, key=lambda family: scores[family]) if scores else ""


@cache
def _index(kind: str) -> dict[str, str]:
    """From a word to what it means, for colours, shapes and sizes."""
    return {word: meaning for meaning, words in lexicon()[kind].items() for word in words}


def _mentions(tokens: Sequence[str]) -> list[_Mention]:
    shapes = _index("shapes")
    return [
        _mention(tokens, place)
        for place, token in enumerate(tokens)
        if token in shapes and not _is_adjective(tokens, place)
    ]


def _is_adjective(tokens: Sequence[str], place: int) -> bool:
    """Whether a noun only qualifies the next one: the water in ``water tank``."""
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    return tokens[place] == "water" and bool(_concepts(following) & {"tank", "vessel", "level"})


def _mention(tokens: Sequence[str], place: int) -> _Mention:
    colours, sizes, shapes = _index("colours"), _index("sizes"), _index("shapes")
    colour = size = article = ""
    for token in reversed(tokens[max(0, place - 4) : place]):
        if token in _ARTICLES:
            article = token
            break
        if token in shapes or token in ("of", "and", "with", "on", "by"):
            break
        colour = colour or colours.get(token, "")
        size = size or sizes.get(token, "")
    after = tokens[place + 1 : place + 4]
    if not colour and len(after) >= 2 and after[0] in _LINKING:
        colour = next((colours[token] for token in after[1:] if token in colours), "")
    return _Mention(place, tokens[place], shapes[tokens[place]], colour, size, article)


def _distinct(mentions: Sequence[_Mention]) -> list[_Mention]:
    """One mention per thing: a later one of the same thing only adds what was not said."""
    things: list[_Mention] = []
    for mention in mentions:
        match = next((i for i, thing in enumerate(things) if _same(thing, mention)), None)
        if match is None:
            things.append(mention)
        else:
            things[match] = _merged(things[match], mention)
    return things


def _same(thing: _Mention, mention: _Mention) -> bool:
    if mention.article in ("another", "second") or (mention.article == "other" and mention.colour):
        return False
    if thing.colour and mention.colour and thing.colour != mention.colour:
        return False
    if not thing.shape and mention.article in ("a", "an"):
        return False
    if mention.article in ("a", "an") and (thing.size and mention.size and thing != mention):
        return thing.size == mention.size and thing.shape == mention.shape
    return not mention.shape or not thing.shape or thing.shape == mention.shape


def _merged(thing: _Mention, mention: _Mention) -> _Mention:
    return _Mention(
        place=thing.place,
        noun=thing.noun,
        shape=thing.shape or mention.shape,
        colour=thing.colour or mention.colour,
        size=thing.size or mention.size,
        article=thing.article,
    )


def _wants(family: str, things: Sequence[_Mention], tokens: Sequence[str]) -> tuple[Want, ...]:
    """Give the mentioned things their roles in the event, in its roles' order."""
    solid = [thing for thing in things if thing.shape not in ("liquid", "domino")]
    if family == "pour":
        return _named(["liquid"], [thing for thing in things if thing.shape == "liquid"])
    if family == "dominoes":
        row = [thing for thing in things if thing.shape == "domino"]
        return (*_named(["striker"], solid), *_named(["row"], row))
    if family == "stack":
        tower = [thing for thing in solid if thing.noun.endswith("s")]
        rest = [thing for thing in solid if thing not in tower]
        return (*_named(["subject"], rest), *_named(["tower"], tower))
    if family == "lever":
        solid = [thing for thing in solid if thing.noun not in ("plank", "planks")]
        return _named(["striker", "load"], _faller_first(solid, tokens))
    if family == "collide":
        return _named(["striker", "target"], _doer_first(solid, tokens))
    return _named(["subject"] if family else ["first", "second"], solid)


def _named(roles: Sequence[str], things: Sequence[_Mention]) -> tuple[Want, ...]:
    return tuple(
        Want(role, "bar" if t.shape == "domino" else t.shape, t.colour, t.size)
        for role, t in zip(roles, things, strict=False)
    )


def _doer_first(things: list[_Mention], tokens: Sequence[str]) -> list[_Mention]:
    """``A is hit by B``: B does it."""
    if len(things) < 2:
        return things
    between = tokens[things[0].place : things[1].place]
    return things[1::-1] if "by" in between else things


def _faller_first(things: list[_Mention], tokens: Sequence[str]) -> list[_Mention]:
    """The one that is said to fall comes first."""
    if len(things) < 2:
        return things

    def falls(thing: _Mention) -> bool:
        after = tokens[thing.place + 1 : thing.place + 4]
        return any("fall" in _concepts(token) for token in after)

    return things[1::-1] if falls(things[1]) and not falls(things[0]) else things


def _outcome(family: str, sentences: Sequence[frozenset[str]]) -> str:
    if family != "buoyancy":
        return ""
    for concepts in sentences:
        for concept, outcome in (("float", "floats"), ("sink", "sinks")):
            if concept in concepts and "not" not in concepts:
                return outcome
    return ""


def _stated(sentences: Sequence[frozenset[str]]) -> frozenset[str]:
    return frozenset(
        name
        for name, rule in lexicon()["outcomes"].items()
        if any(concepts.issuperset(needs) for concepts in sentences for needs in rule["any"])
    )


def _lead(tokens: Sequence[str], mentions: Sequence[_Mention]) -> int:
    """Words before the first mentioned thing; all of them if there is none."""
    return mentions[0].place if mentions else len(tokens)
