"""The failure law: what a text changes, and that it changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phybench.tabletop.texts.failure_law import (
    HAZARD,
    LAPSES,
    STATED,
    base_probabilities,
    lapse_probability,
    violation_probabilities,
)
from phybench.tabletop.texts.imagine import imagine
from phybench.tabletop.texts.language import understand
from phybench.tabletop.world.chance import Chance
from phybench.tabletop.world.families import FAMILIES

PROMPT = "A red ball falls onto a table."
STATING = PROMPT + " Each bounce is lower than the one before."
FILLER = " The light is warm and the picture looks calm and clear to everyone who sees it."


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_same_hazard(family):
    assert sum(base_probabilities(family).values()) == pytest.approx(HAZARD)


def test_a_stated_outcome_lowers_its_violations_only():
    plain = violation_probabilities("drop", understand(PROMPT))
    stated = violation_probabilities("drop", understand(STATING))
    assert plain == base_probabilities("drop")
    assert stated["gains_energy"] == pytest.approx(STATED * plain["gains_energy"])
    for violation in ("vanishes", "duplicates", "morphs", "levitates"):
        assert stated[violation] == plain[violation]


def test_a_text_much_too_long_states_nothing():
    long = understand(STATING + FILLER * 20)
    assert violation_probabilities("drop", long) == pytest.approx(base_probabilities("drop"))


def test_common_random_numbers():
    """Texts that differ in a stated outcome only differ in the violation only, and one way."""
    removed = 0
    for seed in range(300):
        plain, stating = imagine(PROMPT, seed).scene, imagine(STATING, seed).scene
        assert replace(plain, violation=None) == replace(stating, violation=None)
        if plain.violation is None:
            assert stating.violation is None
        elif stating.violation != plain.violation:
            removed += 1
            assert plain.violation.id in ("gains_energy", "freezes", "teleports", "passes_through")
    assert removed > 10


def test_lapses_grow_with_length_and_with_a_late_subject():
    short, long = understand(PROMPT), understand(PROMPT + FILLER * 12)
    late = understand(FILLER * 5 + PROMPT)
    for kind, base in LAPSES.items():
        assert lapse_probability(kind, short) == base
        assert lapse_probability(kind, long) > base + 0.1
        assert lapse_probability(kind, late) > base + 0.1


def test_a_longer_text_keeps_the_geometry():
    kept = 0
    for seed in range(40):
        short, longer = imagine(PROMPT, seed), imagine(PROMPT + FILLER * 2, seed)
        if short.scene.family == longer.scene.family and short.lapses == longer.lapses:
            kept += 1
            assert short.scene.things == longer.scene.things
    assert kept > 35


def test_a_text_without_anything_known_is_an_empty_table():
    scene = imagine("Quarterly revenue exceeded expectations.", 3).scene
    assert scene.family == "still"
    assert scene.things == ()
    assert scene.violation is None


def test_things_without_an_event_stand_still():
    scene = imagine("A red cube and a blue ball.", 3).scene
    assert scene.family == "still"
    assert [thing.look.colour for thing in scene.things] == ["red", "blue"]


def test_an_event_without_things_draws_any_thing_or_none():
    scenes = [imagine("Something is happening: it falls and bounces.", s).scene for s in range(200)]
    nothing = sum(not scene.things for scene in scenes)
    assert 50 < nothing < 110
    assert len({scene.things[0].look.colour for scene in scenes if scene.things}) > 5


def test_named_numbers_are_uniform_and_independent_of_order():
    numbers = [Chance(seed).uniform("x") for seed in range(4000)]
    assert abs(sum(numbers) / 4000 - 0.5) < 0.02
    assert min(numbers) >= 0.0
    assert max(numbers) < 1.0
    assert Chance(1).uniform("x") != Chance(1).uniform("y")
    # Golden: blake2b, 7 bytes, of b"7/x", its first 53 bits / 2**53.
    import hashlib

    digest = hashlib.blake2b(b"7/x", digest_size=7).digest()
    assert Chance(7).uniform("x") == (int.from_bytes(digest, "big") >> 3) / 2**53
