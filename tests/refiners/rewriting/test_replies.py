from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.refiners.rewriting.replies import (
    ReplyError,
    Rewrite,
    check_rewrite,
    read_json_reply,
    read_reasoning,
    read_text,
)
from phybench.refiners.rewriting.task import read_wording, rewriting_task

PROMPT = "A ball rolls down a hill."
GOOD = "A red ball rolls down a grassy hill, gains speed and comes to rest in the flat valley."
ANSWER = json.dumps({"reasoning": "It speeds up.", "prompt": GOOD})
INSTRUCTIONS = rewriting_task().system_prompt


def check(text, *, reasoning="", prompt=PROMPT, language="english"):
    rewrite = Rewrite(text, reasoning)
    check_rewrite(rewrite, prompt=prompt, instructions=INSTRUCTIONS, language=language)


@pytest.mark.parametrize(
    "reply",
    [
        ANSWER,
        f"```json\n{ANSWER}\n```",
        f"Sure, here you go:\n\n{ANSWER}\nAnything else?",
        f'<think>maybe {{"prompt": "x", "reasoning": "y"}}?</think>{ANSWER}',
        f"{ANSWER}\n{ANSWER}",
        ANSWER.replace(GOOD, GOOD.replace(", ", ",\\n\\n")),
    ],
)
def test_json_is_found_in_what_models_wrap_it_in(reply):
    assert read_json_reply(reply) == Rewrite(prompt=GOOD, reasoning="It speeds up.")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        GOOD,
        ANSWER[:-1],
        ANSWER[:40],
        '{"reasoning": "r"}',
        '{"prompt": "p"}',
        '{"reasoning": "r", "prompt": 5}',
        '{"reasoning": "r", "prompt": null}',
        '["reasoning", "prompt"]',
        ANSWER + '{"reasoning": "r", "prompt": "another"}',
        "<think>still thinking " + ANSWER[:20],
        '{"a":' * 19_000,
        '{"a":' * 500_000,
    ],
)
def test_other_replies_are_no_refinement(reply):
    with pytest.raises(ReplyError) as error:
        read_json_reply(reply)
    assert error.value.kind == "parse"


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for read in (read_json_reply, read_text, read_reasoning):
        with contextlib.suppress(ReplyError):
            assert isinstance(read(text), Rewrite)


@given(st.text(), st.text())
def test_any_strings_come_back_but_for_white_space(reasoning, prompt):
    rewrite = read_json_reply(json.dumps({"reasoning": reasoning, "prompt": prompt}))
    assert rewrite.prompt.split() == prompt.split()
    assert rewrite.reasoning == reasoning.strip()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("...", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I cannot create this content.", "refusal"),
        ("Here is the refined prompt: a ball rolls.", "leak"),
        ("Prompt: a ball rolls.", "leak"),
        ("Sure! A ball rolls.", "leak"),
        ("Step 1: the ball is subject to gravity. A ball rolls.", "leak"),
        ("A ball rolls. Reasoning: gravity pulls it.", "leak"),
        ("A ball rolls. **Explanation**: gravity pulls it.", "leak"),
        ("<think>gravity</think> A ball rolls.", "leak"),
        ("```A ball rolls.```", "leak"),
        ("A ball rolls.<|im_end|>", "leak"),
        ("一个红色的球从山坡上滚下来，速度越来越快。", "language"),
        ("Красный мяч катится с холма и ускоряется.", "language"),
    ],
)
def test_what_must_not_reach_the_generator(text, kind):
    with pytest.raises(ReplyError) as error:
        check(text)
    assert error.value.kind == kind


def test_reasoning_inside_the_prompt_is_a_leak():
    reasoning = "The hill is steep, so gravity makes the ball roll faster and faster."
    with pytest.raises(ReplyError, match="reasoning stands in it"):
        check(f"{reasoning} {GOOD}", reasoning=reasoning)


def test_our_instructions_in_the_prompt_are_a_leak():
    sentence = INSTRUCTIONS.splitlines()[0]
    with pytest.raises(ReplyError, match="repeats our instructions"):
        check(f"A note on a wall reads: {sentence}")
    check(f"A note on a wall reads: {sentence}", prompt=f"Someone writes: {sentence}")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "A café in São Paulo: a waiter pours 2 espressos.",
        "A chalkboard shows the word 日本 while a girl erases it slowly with a damp sponge.",
        "An unsure child surely walks; here is a hill, there is a dog.",
        "A man says: I cannot lift this! He lets go and the barbell drops to the mat.",
        "A sticky note: yellow, curling at its corner, falls off the fridge.",
    ],
)
def test_ordinary_prompts_pass(text):
    check(text)


def test_language_any_lets_other_scripts_through():
    check("一个红色的球从山坡上滚下来。", language="any", prompt="球滚下来")


def test_what_the_user_wrote_may_come_back():
    check("Prompt: a theatre prompter whispers.", prompt="Prompt: a theatre prompter whispers")


@given(st.text())
def test_a_prompt_cannot_end_its_quotation(text):
    system, user = rewriting_task().messages(text)
    assert system == {"role": "system", "content": INSTRUCTIONS}
    assert json.loads(user["content"]) == {"text": text}
    assert "\n" not in user["content"]


def test_wordings_say_what_is_asked():
    assert "at most 150 words" in rewriting_task(budget=226).system_prompt
    assert "{" not in rewriting_task().system_prompt.replace('{"reasoning": "…"', "")
    assert "Write in English" in rewriting_task().system_prompt
    assert "language of the text" in rewriting_task(language="any").system_prompt
    assert read_wording("phyprompt-v1").startswith("Rewrite")
