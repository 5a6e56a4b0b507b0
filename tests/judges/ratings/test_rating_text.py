"""Ratings in words: read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.judges.ratings.rating_text import first_key, read_rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("4", 4),
        (" 4 ", 4),
        ("4.", 4),
        ("4.0", 4),
        ("4.00", 4),
        ("4/5", 4),
        ("4 / 5", 4),
        ("4.0/5", 4),
        ("4 out of 5", 4),
        ("4 out of 5.", 4),
        ("Four", 4),
        ("FIVE.", 5),
        ("**3**", 3),
        ('"2"', 2),
        ("one out of 5", 1),
    ],
)
def test_complete_forms_are_read(text, rating):
    assert read_rating(text, 1, 5) == rating


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "between 3 and 4",
        "3-4",
        "3.5",
        "4.5/5",
        "none",
        "not one but 5",
        "Score: 4",
        "I rate 4 out of 5",
        "4/10",
        "4 of 5",
        "0",
        "6",
        "15",
        "100000",
        "-4",
        "4 4",
        "someone",
        "4, because it falls",
        "٤",
        "four five",
        "NaN",
    ],
)
def test_everything_else_is_unreadable(text):
    assert read_rating(text, 1, 5) is None


@given(st.text(max_size=20))
def test_what_is_read_is_on_the_scale(text):
    assert read_rating(text, 1, 5) in {None, 1, 2, 3, 4, 5}


@given(st.integers(0, 2))
def test_verdicts_have_their_own_scale(value):
    assert read_rating(str(value), 0, 2) == value
    assert read_rating(f"{value + 3}", 0, 2) is None


@pytest.mark.parametrize(
    ("text", "score"),
    # Published behaviour, errors included.
    [
        ("4", 4),
        ("none", 1),
        ("not one but 5", 1),
        ("15", 1),
        ("7", 0),
        ("", 0),
        ("3.5", 3),
        ("10", 0),
        ("42", 2),
        ("two or 3", 2),
        ("Score: 2", 2),
    ],
)
def test_the_published_reader_is_reproduced(text, score):
    assert first_key(text) == score
