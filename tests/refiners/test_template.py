"""The rule-based refiner `template`."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.places import SHARED

from phybench.plugins.contracts import Failure, Refiner
from phybench.refiners.template import Template
from phybench.tabletop.texts.language import lexicon, understand
from phybench.tabletop.texts.prompt_sets import build
from phybench.testing import check_refiner

VIDEOPHY2 = SHARED / "data/videophy2/prompts_test.csv"


def refined(prompt):
    [result] = Template().refine([prompt], [0])
    return result


@pytest.mark.parametrize(
    ("prompt", "event"),
    [
        ("A red ball falls onto the table.", "fall"),
        ("Syrup is poured onto pancakes from a bottle", "pour"),
        ("A player tosses a frisbee to a friend.", "throw"),
        ("A hockey puck slides over the ice.", "slide"),
        ("A chef chops an onion.", "cut"),
        ("A boxer hits a punching bag.", "collide"),
        ("A diver jumps into a pool.", "plunge"),
        ("A child swings in the park.", "swing"),
        ("Clouds over a city at dusk.", None),
    ],
)
def test_events_are_recognised_in_ordinary_prompts(prompt, event):
    assert refined(prompt).meta["event"] == event


@given(st.text(min_size=1).filter(str.strip))
def test_the_users_words_stay_in_front(prompt):
    result = refined(prompt)
    assert result.text.startswith(prompt.rstrip())
    assert len(result.text) > len(prompt.rstrip()) + 20


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_a_blank_prompt_is_a_failure(prompt):
    assert isinstance(refined(prompt), Failure)


def test_prompts_and_results_correspond():
    prompts = [row.text for row in build("test")[:20]]
    results = Template().refine(prompts, range(20))
    assert [r.text for r in results] == [refined(p).text for p in prompts]
    assert isinstance(Template(), Refiner)


@pytest.mark.slow
def test_the_event_of_a_prompt_stays_what_it_was():
    changed = [
        row.text
        for row in build("test")
        if understand(refined(row.text).text).family != row.family
        or understand(refined(row.text).text).wants != understand(row.text).wants
    ]
    assert len(changed) <= 0.01 * len(build("test")), changed[:5]


@pytest.mark.slow
def test_most_videophy2_prompts_hold_a_known_event():
    if not VIDEOPHY2.exists():
        pytest.skip("needs ../shared/data")
    with VIDEOPHY2.open(newline="", encoding="utf-8") as file:
        captions = [row["caption"] for row in csv.DictReader(file)]
    known = sum(refined(caption).meta["event"] is not None for caption in captions)
    assert known / len(captions) > 0.5


@pytest.mark.slow
def test_it_uses_none_of_the_generators_own_sentences():
    ours = {rule["says"] for rule in lexicon()["outcomes"].values()}
    for row in build("test")[:100]:
        assert not any(sentence in refined(row.text).text for sentence in ours)


def test_it_starts_fast_and_light():
    code = (
        "import sys; from phybench.refiners.template import Template;"
        "Template().refine(['A ball falls.'], [0]);"
        "print([m for m in ('numpy', 'pymunk', 'yaml', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_keeps_the_refiners_contract():
    check_refiner(Template, [row.text for row in build("test")[:5]])
