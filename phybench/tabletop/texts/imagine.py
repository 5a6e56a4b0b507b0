"""From a text to the scene that the simulated generator makes of it, lapses and all.

Every decision compares a uniform number, named after the decision and drawn from the seed, with a
probability from :mod:`phybench.tabletop.texts.failure_law`. Two texts with the same seed therefore
get the same geometry, and a violation is there exactly if its number is below its probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from phybench.tabletop.texts.failure_law import NOTHING, lapse_probability, violation_probabilities
from phybench.tabletop.texts.language import Understanding, Want, understand
from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.families import FAMILIES, Role, build_scene
from phybench.tabletop.world.scene import COLOURS, SHAPES, SIZES, Look, Scene


@dataclass(frozen=True, slots=True)
class Imagined:
    """A scene and how it came about.

    Args:
        scene: What will be simulated.
        understanding: What was read in the text.
        lapses: What was lost on the way (``event``, ``subject/colour``, ...).
    """

    scene: Scene
    understanding: Understanding
    lapses: tuple[str, ...]


def imagine(text: str, seed: int) -> Imagined:
    """The scene that the simulated generator makes of a text; equal arguments, equal scene.

    A text with things but no event gives a still scene of them, a text with nothing known an
    empty table. An event without things gets things of random looks, or none.
    """
    read, chance = understand(text), Chance(seed)
    lapses: list[str] = []
    family = _imagined_family(read, chance, lapses)
    if not family:
        still = {
            want.role: _look(_free(want.role), want, read, chance, lapses) for want in read.wants
        }
        return Imagined(build_scene("still", still, seed), read, tuple(lapses))
    if not read.wants and chance.uniform("nothing") < NOTHING:
        return Imagined(build_scene("still", {}, seed), read, ("everything",))
    looks = _looks(family, read, chance, lapses)
    violation = choose_violation_id(family, read, chance)
    scene = build_scene(family, looks, seed, violation, outcome=read.outcome)
    return Imagined(scene, read, tuple(lapses))


def choose_violation_id(family: str, read: Understanding, chance: Chance) -> str | None:
    """The violation that happens, if any.

    Every violation has a number of its own. If several are below their probabilities, the one
    with the smallest number happens: what a text states can remove a violation, never cause one
    where there would have been none.
    """
    numbers = {
        violation: chance.uniform(f"violation/{violation}")
        for violation, probability in violation_probabilities(family, read).items()
        if chance.uniform(f"violation/{violation}") < probability
    }
    return min(numbers, key=lambda violation: numbers[violation]) if numbers else None


def _imagined_family(read: Understanding, chance: Chance, lapses: list[str]) -> str:
    if not read.family or chance.uniform("lapse/event") >= lapse_probability("event", read):
        return read.family
    lapses.append("event")
    return chance.choice("other event", [name for name in FAMILIES if name != read.family])


def _looks(
    family: str, read: Understanding, chance: Chance, lapses: list[str]
) -> Mapping[str, Look]:
    """A look for every role; wants of another event go to the roles in their order."""
    roles = FAMILIES[family].roles
    wants = {want.role: want for want in read.wants}
    if family != read.family:
        wants = {
            role.name: replace(want, role=role.name)
            for role, want in zip(roles, read.wants, strict=False)
        }
    looks: dict[str, Look] = {}
    for role in roles:
        want = wants.get(role.name, Want(role.name))
        taken = {look.colour for look in looks.values()}
        looks[role.name] = _look(role, want, read, chance, lapses, taken)
    return looks


def _look(
    role: Role,
    want: Want,
    read: Understanding,
    chance: Chance,
    lapses: list[str],
    taken: set[str] | None = None,
) -> Look:
    """What a wanted thing looks like; what the text leaves open is drawn."""

    def lost(kind: str) -> bool:
        happens = chance.uniform(f"lapse/{role.name}/{kind}") < lapse_probability(kind, read)
        if happens:
            lapses.append(f"{role.name}/{kind}")
        return happens

    if (want.shape or want.colour) and lost("object"):
        want = Want(role.name)
    shape, colour = want.shape, want.colour
    if colour and lost("colour"):
        colour = ""
        taken = {*(taken or ()), want.colour}
    if shape and lost("shape"):
        shape = ""
    if shape not in role.shapes:
        shape = chance.choice(f"look/{role.name}/shape", role.shapes)
    free = [name for name in COLOURS if name not in (taken or ())]
    size = want.size or chance.choice("look/size", SIZES)
    return Look(
        shape=shape,
        colour=colour or chance.choice(f"look/{role.name}/colour", free),
        size=size if size in role.sizes else role.sizes[0],
    )


def _free(name: str) -> Role:
    return Role(name, SHAPES)


def requested(read: Understanding) -> dict[str, Any]:
    """What a text was understood to ask for, as JSON values."""
    return {
        "family": read.family,
        "outcome": read.outcome,
        "objects": [
            {"role": w.role, "shape": w.shape, "colour": w.colour, "size": w.size}
            for w in read.wants
        ],
        "stated": sorted(read.stated),
        "words": read.words,
    }
