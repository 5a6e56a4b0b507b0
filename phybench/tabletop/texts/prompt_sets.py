"""The bundled prompt sets, made from ``wordings.json`` by rule.

    python -m phybench.tabletop.texts.prompt_sets phybench/tabletop/prompts

writes both again; equal code writes equal bytes. The test set holds out, each in a part of its
rows: combinations of family, colour and shape that no training prompt has, and wordings (sentence
patterns, outcome sentences and nouns) that no training prompt uses.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.families import FAMILIES, Role
from phybench.tabletop.world.scene import COLOURS, Look

TRAIN_ROWS, TEST_ROWS = 1500, 600
STATED_SHARE = 0.25
"""Share of prompts in which the user already says how it ends."""
_SIZE_SHARE = 0.5
_HELD_OUT_COMBINATIONS = 0.25
_SLOT = re.compile(r"\[(?:(A|a) )?(\w+)\]")
_SEED = {"train": 11, "test": 12}


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt of a set.

    Args:
        id: Unique in its set.
        text: The prompt.
        family: Its event.
        stated: Whether it says how the event lawfully ends.
        held_out: What training prompts do not have: ``combination``, ``wording``, ``both`` or
            ``nothing`` (every training prompt).
    """

    id: str
    text: str
    family: str
    stated: bool
    held_out: str

    def as_json(self) -> dict[str, Any]:
        """The row as it stands in the file."""
        return {
            "id": self.id,
            "text": self.text,
            "family": self.family,
            "stated": "yes" if self.stated else "no",
            "held_out": self.held_out,
        }


def build(split: str) -> list[PromptRow]:
    """The rows of ``train`` or ``test``; any first rows of the test set are a fair sample.

    Raises:
        KeyError: If there is no such split.
    """
    total = {"train": TRAIN_ROWS, "test": TEST_ROWS}[split]
    chance = Chance(_SEED[split])
    seen = set(_texts("train")) if split == "test" else set()
    drafts: list[tuple[str, str, bool, str]] = []
    for family in FAMILIES:
        for draft in _drafts(family, split, chance, total // len(FAMILIES)):
            if draft[1] not in seen:
                drafts.append(draft)
                seen.add(draft[1])
    drafts.sort(key=lambda draft: chance.uniform(f"order/{draft[1]}"))
    return [
        PromptRow(f"tabletop-{split}-{index:04d}", text, family, stated, held_out)
        for index, (family, text, stated, held_out) in enumerate(drafts)
    ]


@cache
def _texts(split: str) -> tuple[str, ...]:
    return tuple(row.text for row in build(split))


@cache
def _wordings() -> Mapping[str, Any]:
    text = resources.files("phybench.tabletop.texts").joinpath("wordings.json").read_text("utf-8")
    data: Mapping[str, Any] = json.loads(text)
    return data


def _drafts(
    family: str, split: str, chance: Chance, count: int
) -> Iterator[tuple[str, str, bool, str]]:
    """So many different prompts of a family: (family, text, stated, held out)."""
    kinds = ("nothing",) if split == "train" else ("combination", "wording", "both")
    made: set[str] = set()
    attempt = 0
    while len(made) < count:
        kind = kinds[len(made) % len(kinds)]
        text, stated = _draft(family, kind, chance, f"{family}/{attempt}")
        attempt += 1
        if text not in made:
            made.add(text)
            yield family, text, stated, kind


def _draft(family: str, kind: str, chance: Chance, name: str) -> tuple[str, bool]:
    words = _wordings()["families"][family]
    wording = "held_out" if kind in ("wording", "both") else "train"
    text = chance.choice(f"{name}/wording", words[wording])
    looks = _looks(family, kind in ("combination", "both"), chance, name)
    nouns = {
        role.name: _noun(role, looks[role.name], wording, chance, name)
        for role in FAMILIES[family].roles
    }
    sized = chance.uniform(f"{name}/sized") < _SIZE_SHARE
    text = _SLOT.sub(lambda slot: _filled(slot, looks, nouns, sized=sized), text)
    stated = chance.uniform(f"{name}/stated") < STATED_SHARE
    if stated:
        text += " " + chance.choice(f"{name}/outcome", words["outcomes"][wording])
    return text[0].upper() + text[1:], stated


def _looks(family: str, held_out: bool, chance: Chance, name: str) -> dict[str, Look]:
    """Looks for all roles, of different colours; the first role's combination decides the split."""
    looks: dict[str, Look] = {}
    size = chance.choice(f"{name}/size", ("small", "large"))
    for role in FAMILIES[family].roles:
        used = {look.colour for look in looks.values()}
        options = [
            Look(shape, colour, size if size in role.sizes else role.sizes[0])
            for shape in role.shapes
            for colour in COLOURS
            if colour not in used and (looks or _is_held_out(family, shape, colour) == held_out)
        ]
        looks[role.name] = chance.choice(f"{name}/{role.name}", options)
    return looks


def _is_held_out(family: str, shape: str, colour: str) -> bool:
    """Whether a combination is kept out of training; at least one of each kind in every family."""
    shapes = FAMILIES[family].roles[0].shapes
    combinations = [(s, c) for s in shapes for c in COLOURS]
    order = Chance(0)
    combinations.sort(key=lambda pair: order.uniform(f"{family}/{pair[0]}/{pair[1]}"))
    return (shape, colour) in combinations[: round(len(combinations) * _HELD_OUT_COMBINATIONS)]


def _noun(role: Role, look: Look, wording: str, chance: Chance, name: str) -> str:
    key = "row" if role.name == "row" else look.shape
    noun: str = chance.choice(f"{name}/{role.name}/noun", _wordings()["nouns"][key][wording])
    return _plural(noun) if role.name == "tower" else noun


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("x") else "s")


def _filled(
    slot: re.Match[str], looks: Mapping[str, Look], nouns: Mapping[str, str], *, sized: bool
) -> str:
    article, role = slot.group(1), slot.group(2)
    capital = role[0].isupper() or article == "A"
    role = role.lower()
    look = looks[role]
    one_size = role in ("row", "liquid") or len(_sizes(role)) < 2
    size = f"{look.size} " if sized and not one_size else ""
    words = f"{size}{look.colour} {nouns[role]}"
    if article:
        words = f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    return words[0].upper() + words[1:] if capital else words


def _sizes(role: str) -> tuple[str, ...]:
    """Sizes that a role of this name has in every family that has it."""
    sizes = [r.sizes for family in FAMILIES.values() for r in family.roles if r.name == role]
    return min(sizes, key=len)


def write_prompt_sets(folder: Path) -> None:
    """Write ``tabletop-train.jsonl`` and ``tabletop-test.jsonl`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        lines = [json.dumps(row.as_json(), ensure_ascii=False) for row in build(split)]
        path = folder / f"tabletop-{split}.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_prompt_sets(Path(sys.argv[1]))
