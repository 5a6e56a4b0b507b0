"""Reading prompts: known wordings, paraphrases, and any text at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phybench.tabletop.texts.failure_law import violation_probabilities
from phybench.tabletop.texts.language import LONGEST, Want, count_words, lexicon, understand
from phybench.tabletop.texts.prompt_sets import build
from phybench.tabletop.world.families import FAMILIES
from phybench.tabletop.world.scene import COLOURS
from phybench.tabletop.world.violations import VIOLATIONS

# Wordings that are in no prompt set.
PARAPHRASES = {
    "A tiny scarlet marble plunges to the ground.": "drop",
    "I toss a big violet box and it flies away.": "throw",
    "Watch a turquoise orb roll down the steep incline!": "ramp",
    "The crate that is green skids over the desk": "slide",
    "Two things meet: an orange sphere smashes into another sphere.": "collide",
    "A heavy golden ball on a rope, swaying from side to side": "pendulum",
    "Onto a pile of yellow crates drops a magenta pyramid.": "stack",
    "Dominos, all blue, topple when a pink marble rolls up.": "dominoes",
    "Green paint pours out of a mug into a beaker": "pour",
    "In an aquarium a red cube sinks.": "buoyancy",
    "A navy weight bobs on a coil spring.": "spring",
    "On the see-saw sits a purple cube; an emerald ball drops on the other side.": "lever",
}


@pytest.mark.parametrize(("text", "family"), PARAPHRASES.items())
def test_paraphrases_are_understood(text, family):
    assert understand(text).family == family


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_prompt_of_the_sets_is_understood(split):
    for row in build(split):
        read = understand(row.text)
        assert read.family == row.family, row.text
        assert [want.role for want in read.wants] == [r.name for r in FAMILIES[row.family].roles]
        assert all(want.shape and want.colour for want in read.wants), row.text
        if row.stated:
            assert read.stated, row.text


def test_who_does_what_follows_the_sentence():
    active = understand("A red ball strikes a blue cube.")
    passive = understand("A blue cube is struck by a red ball.")
    wants = (Want("striker", "ball", "red"), Want("target", "cube", "blue"))
    assert active.wants == passive.wants == wants


def test_a_later_mention_is_the_same_thing():
    read = understand("A small ball falls. The ball is red. It bounces.")
    assert read.wants == (Want("subject", "ball", "red", "small"),)


def test_two_things_of_one_shape_are_two():
    read = understand("A red ball rolls into another red ball.")
    assert read.wants == (Want("striker", "ball", "red"), Want("target", "ball", "red"))


def test_an_appended_outcome_does_not_change_the_event():
    first = "A red ball falls onto a table."
    more = first + " It hits the ground, is pushed up again, and rolls into nothing."
    assert understand(more).family == understand(first).family == "drop"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Each bounce is lower than the last.", "loses_energy"),
        ("It slows down and stops because of friction.", "loses_energy"),
        ("The struck block moves off after contact.", "reacts"),
        ("The water level rises as the glass fills.", "liquid_kept"),
        ("Nothing disappears.", "persists"),
        ("It doesn't change.", "unchanged"),
        ("The table is solid.", "is_stopped"),
        ("Gravity pulls on it.", "falls_down"),
        ("It moves smoothly.", "moves_on"),
    ],
)
def test_stated_outcomes_are_found(text, outcome):
    assert outcome in understand(text).stated
    assert outcome not in understand("A red ball and a blue cube.").stated


def test_every_violation_can_be_stated_against():
    prevented = {v for rule in lexicon()["outcomes"].values() for v in rule["prevents"]}
    assert prevented == set(VIOLATIONS)


def test_the_lexicon_names_only_what_there_is():
    assert set(lexicon()["colours"]) == set(COLOURS)
    assert set(lexicon()["events"]) == set(FAMILIES)
    concepts = set(lexicon()["concepts"]) | {"on", "back", "higher"}
    needs = [n for rule in lexicon()["outcomes"].values() for needs in rule["any"] for n in needs]
    needs += [n for cues in lexicon()["events"].values() for cue, _ in cues for n in cue]
    stray = {"fall back", "moving"}
    assert set(needs) - stray <= concepts


@pytest.mark.parametrize(
    "text",
    ["", "\x00\x1b[31m", "🤖🎬", "../../etc/passwd", "=SUM(A1)", "\n\n\n", "the of and", "Привет"],
)
def test_unknown_text_is_an_empty_understanding(text):
    read = understand(text)
    assert read.family == ""
    assert read.wants == ()
    assert read.stated == frozenset()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_read(text):
    read = understand(text)
    assert read.family in {"", *FAMILIES}
    assert read.words == count_words(text)
    for family in FAMILIES:
        assert all(0 <= p <= 1 for p in violation_probabilities(family, read).values())


WORDS = st.sampled_from(
    [
        *("a", "red", "ball", "cube", "blue", "falls", "rolls", "into", "another", "on", "stack"),
        *("of", "blocks", "is", "hit", "by", "seesaw", "water", "poured", ".", ";", "not"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=40))
def test_any_mix_of_known_words_can_be_read(words):
    read = understand(" ".join(words))
    if read.family:
        roles = {role.name for role in FAMILIES[read.family].roles}
        assert {want.role for want in read.wants} <= roles


def test_long_texts_are_cut_and_read_quickly():
    text = "A red ball falls. " + "word " * 5000 + "A blue cube slides."
    began = time.process_time()
    read = understand(text)
    assert time.process_time() - began < 1.0
    assert read.words == 5008
    assert read.words > LONGEST
    assert read.wants == (Want("subject", "ball", "red"),)


def test_lone_surrogates_are_read():
    assert understand("a red ball falls \ud800").family == "drop"
