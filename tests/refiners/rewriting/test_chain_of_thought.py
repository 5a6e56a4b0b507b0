from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.refiners.rewriting.chain_of_thought import (
    LABELS,
    ChainOfThought,
    ReasoningFormatError,
    parse,
    write_chain,
)

CHAIN = ChainOfThought(
    law="gravity; elasticity",
    motion="the ball falls, hits the floor and rises to a lower height each time",
    forces="weight pulls it down, the floor pushes it up while they touch",
    materials="rubber squashes briefly and springs back; the floor does not give",
    environment="a hard wooden floor in an empty room, still air",
    prompt="A red rubber ball drops onto a wooden floor and bounces lower each time.",
)
TEXT = """Law: gravity; elasticity
Motion: the ball falls, hits the floor and rises to a lower height each time
Forces: weight pulls it down, the floor pushes it up while they touch
Materials: rubber squashes briefly and springs back; the floor does not give
Environment: a hard wooden floor in an empty room, still air
Prompt: A red rubber ball drops onto a wooden floor and bounces lower each time."""
LINE = st.text(min_size=1).map(str.strip).filter(lambda text: len(text.splitlines()) == 1)
PROMPT_LINE = LINE.filter(lambda text: not any(f"{label}:" in text for label in LABELS))


def test_written_form_is_six_labelled_lines():
    assert write_chain(CHAIN) == TEXT
    assert parse(TEXT) == CHAIN
    assert CHAIN.reasoning == TEXT[: TEXT.index("\nPrompt:")]


@given(LINE, LINE, LINE, LINE, LINE, PROMPT_LINE)
def test_whatever_is_written_is_read_back(law, motion, forces, materials, environment, prompt):
    chain = ChainOfThought(law, motion, forces, materials, environment, prompt)
    assert parse(write_chain(chain)) == chain


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        chain = parse(text)
    except ReasoningFormatError:
        return
    assert parse(write_chain(chain)) == chain


def test_space_around_the_reply_is_no_error():
    assert parse(f"\n{TEXT}\n\n") == CHAIN


@pytest.mark.parametrize("drop", range(len(LABELS)))
def test_a_missing_line_is_refused(drop):
    lines = TEXT.split("\n")
    with pytest.raises(ReasoningFormatError, match="Expected 6 lines"):
        parse("\n".join(lines[:drop] + lines[drop + 1 :]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (f"Sure! Here it is:\n{TEXT}", "Expected 6 lines"),
        (f"{TEXT}\nI hope this helps.", "Expected 6 lines"),
        (TEXT.replace("Forces:", "Force:"), "Expected a line `Forces"),
        (TEXT.replace("Law:", "law:"), "Expected a line `Law"),
        (TEXT.replace("Materials: rubber", "Motion: rubber"), "Expected a line `Materials"),
        (TEXT[: TEXT.index("Prompt:") + 7], "Expected text after `Prompt:`"),
        (TEXT.replace("Prompt: A red", "Prompt: Forces: weight. A red"), "hold no reasoning"),
        ("", "Expected 6 lines"),
    ],
)
def test_other_texts_are_refused(broken, message):
    with pytest.raises(ReasoningFormatError, match=message):
        parse(broken)


@pytest.mark.parametrize("value", ["", " ", "two\nlines", "two\u2028lines", " padded"])
def test_a_field_that_would_not_survive_cannot_be_built(value):
    with pytest.raises(ReasoningFormatError):
        replace(CHAIN, motion=value)
