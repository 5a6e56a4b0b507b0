from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.prompts.prompt_changes import (
    duplicates,
    find_changes,
    is_refusal,
    latin_share,
    numbers,
    similarities,
    stem,
    summary,
)

PROMPT = "Two red balls roll down 3 wooden ramps."
REFINED = "2 red rubber balls are rolling down a wooden ramp; friction slows them."


def test_what_was_lost_and_added():
    found = find_changes(PROMPT, REFINED, tokens=20, budget=226, similarity=0.9)
    assert found.words == 13
    assert found.growth == pytest.approx(13 / 8)
    assert found.lost_numbers == ("3",)
    assert found.lost_words == ()
    assert found.added_physics == ("friction", "slows")
    assert (found.truncated, found.unchanged, found.refusal) == (False, False, False)
    assert found.as_json()["lost_numbers"] == ["3"]


def test_lost_words_are_content_words_in_any_inflection():
    found = find_changes("A dog's tail is wagging near the glasses", "Dogs wag beside a glass")
    assert found.lost_words == ("tail", "near")


def test_truncation_is_known_only_with_tokens_and_budget():
    assert find_changes(PROMPT, REFINED).truncated is None
    assert find_changes(PROMPT, REFINED, tokens=78).truncated is None
    assert find_changes(PROMPT, REFINED, tokens=78, budget=77).truncated is True
    assert find_changes(PROMPT, REFINED, tokens=77, budget=77).truncated is False


@given(st.text())
def test_a_text_loses_and_adds_nothing_to_itself(text):
    found = find_changes(text, text)
    assert found.unchanged
    assert found.lost_numbers == found.lost_words == found.added_physics == ()


@given(st.text(), st.text())
def test_any_pair_can_be_diagnosed(prompt, refinement):
    found = find_changes(prompt, refinement)
    assert found.words == len(refinement.split())
    assert math.isfinite(found.growth)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two dogs, 2 cats", {"2"}),
        ("1,000 balloons at 2.5 metres", {"1000", "2.5"}),
        ("one of the boys", set()),
        ("Twelve o'clock", {"12"}),
        ("no number", set()),
    ],
)
def test_numbers(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ball", "balls"),
        ("roll", "rolling"),
        ("roll", "rolled"),
        ("slide", "sliding"),
        ("drop", "dropped"),
        ("bounce", "bounces"),
        ("carry", "carries"),
        ("glass", "glasses"),
    ],
)
def test_inflections_share_a_stem(first, second):
    assert stem(first) == stem(second)


@pytest.mark.parametrize(("first", "second"), [("sea", "seed"), ("wood", "wool"), ("hill", "hall")])
def test_other_words_do_not(first, second):
    assert stem(first) != stem(second)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m unable to help with that.",
        "I cannot create content that shows this.",
        "Sorry, I won't do that.",
        "Unfortunately, I can't write this prompt.",
        "As an AI language model, I do not watch videos.",
    ],
)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "A sorry-looking dog sits in the rain.",
        "A man says: I cannot lift this!",
        "I, Robot: a robot walks.",
        "",
    ],
)
def test_no_refusals(text):
    assert not is_refusal(text)


def test_latin_share():
    assert latin_share("ball") == 1
    assert latin_share("çÜß 42 !?") == 1
    assert latin_share("球滚下来") == 0
    assert latin_share("ab球滚") == 0.5
    assert latin_share("42") == 1


def test_duplicates_are_grouped_by_refinement():
    texts = {"a": "A ball.", "b": "A cup.", "c": "a  BALL.", "d": "A cup.", "e": "alone"}
    assert duplicates(texts) == [("a", "c"), ("b", "d")]


def test_similarities_are_cosines():
    vectors = {"a": [1, 0], "b": [3, 4], "c": [0, -2]}
    pairs = [("a", "b"), ("b", "b"), ("a", "c"), ("b", "c")]
    found = similarities(pairs, lambda texts: [vectors[text] for text in texts])
    assert found == pytest.approx([0.6, 1.0, 0.0, -0.8])
    assert similarities([], lambda texts: []) == []


def test_summary_counts_shares_and_leaves_unmeasured_things_open():
    found = summary(
        [
            find_changes(PROMPT, REFINED, tokens=10, budget=8),
            find_changes(PROMPT, PROMPT, tokens=6, budget=8),
            find_changes(PROMPT, "I'm sorry, I can't."),
        ]
    )
    assert found["n"] == 3
    assert found["tokens_mean"] == 8
    assert found["truncated_share"] == 0.5
    assert found["similarity_mean"] is None
    assert found["unchanged_share"] == pytest.approx(1 / 3)
    assert found["refusal_share"] == pytest.approx(1 / 3)
    assert found["lost_number_share"] == pytest.approx(2 / 3)
    assert found["added_physics_top"] == ["friction", "slows"]
    assert summary([]) == {"n": 0}
