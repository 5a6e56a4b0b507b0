"""The labels `oracle`: ground truth against what the user asked for."""

from __future__ import annotations

import pytest

from phybench.judges.oracle import Oracle
from phybench.plugins.contracts import Clip, JudgeRequest
from phybench.tabletop.drawing.clips import draw, truth
from phybench.tabletop.world.families import build_scene
from phybench.tabletop.world.scene import Look
from phybench.tabletop.world.simulate import simulate
from phybench.tabletop.world.violations import BREACHES
from phybench.testing import check_judge

PROMPT = "A small red ball falls onto a table."


def judged(prompt, known):
    [score] = Oracle().score([JudgeRequest(Clip(None, "", meta={"truth": known}), prompt)])
    return score


def drawn(family="drop", shape="ball", colour="red", size="small", violation=None):
    looks = {"subject": Look(shape, colour, size)}
    return truth(simulate(build_scene(family, looks, 1, violation)))


@pytest.mark.parametrize(
    ("known", "sa"),
    [
        (drawn(), 5),
        (drawn(size="large"), 4),
        (drawn(colour="blue"), 3),
        (drawn(shape="cube"), 3),
        (drawn(shape="cube", colour="blue"), 2),
        (drawn("throw"), 2),
        (drawn("throw", colour="blue"), 1),
    ],
)
def test_adherence_is_graded_by_what_is_missing(known, sa):
    score = judged(PROMPT, known)
    assert score.sa == sa
    assert score.pc == 5


@pytest.mark.parametrize("row", BREACHES, ids=lambda row: f"{row.family}-{row.violation}")
def test_every_violation_scores_low(row):
    _, known = draw(row.family, 0, row.violation)
    score = judged(PROMPT, known)
    assert score.pc in (1, 2)
    assert score.details["violation"] == row.violation


def test_the_users_prompt_counts_not_what_was_requested_of_the_generator():
    known = drawn() | {"requested": {"family": "pour"}}
    assert judged(PROMPT, known).sa == 5


def test_both_things_count():
    looks = {"striker": Look("ball", "red", "small"), "target": Look("cube", "blue", "small")}
    known = truth(simulate(build_scene("collide", looks, 1)))
    assert judged("A red ball hits a blue cube.", known).sa == 5
    assert judged("A blue ball hits a red cube.", known).sa == 3
    assert judged("A blue cube is hit by a red ball.", known).sa == 5


def test_an_asked_outcome_counts():
    looks = {"subject": Look("ball", "red", "small")}
    known = truth(simulate(build_scene("buoyancy", looks, 1, outcome="sinks")))
    assert judged("A red ball sinks in a tank of water.", known).sa == 5
    assert judged("A red ball floats in a tank of water.", known).sa <= 2


def test_an_empty_table_is_lawful_but_not_what_was_asked_for():
    known = truth(simulate(build_scene("still", {}, 1)))
    score = judged(PROMPT, known)
    assert (score.sa, score.pc) == (1, 5)


def test_clips_without_truth_are_unscored():
    [score] = Oracle().score([JudgeRequest(Clip(None, ""), PROMPT)])
    assert score.sa is None
    assert "ground truth" in score.details["reason"]


def test_prompts_outside_the_world_are_unscored():
    score = judged("A chef bakes bread.", drawn())
    assert score.sa is None
    assert "nothing that this world knows" in score.details["reason"]


def test_it_keeps_the_judges_contract():
    clips = [Clip(None, "", meta={"truth": drawn()}), Clip(None, "")]
    check_judge(Oracle, [JudgeRequest(clip, PROMPT) for clip in clips])
