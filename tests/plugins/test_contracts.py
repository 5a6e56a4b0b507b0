"""Every plugin that runs here keeps the contract, and the kit notices plugins that do not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools.places import ROOT

from phybench import Clip, ClipRequest, Frames, JudgeRequest, Refinement, Score
from phybench.plugins.registry import create
from phybench.prompts.prompt_sets import load_prompts
from phybench.testing import check_generator, check_info, check_judge, check_refiner
from phybench.video.clip_store import store_clip

PROMPTS = [prompt.text for prompt in load_prompts("tabletop-test", 5).prompts]
ODD = ["x", "🏀" * 50, "no\nevent\there", "word " * 400]


@pytest.mark.parametrize("spec", ["identity", "template", "shout:marks=2"])
def test_refiners(examples: Path, spec: str) -> None:
    check_refiner(lambda: create("refiner", spec), PROMPTS + ODD)


@pytest.mark.parametrize("spec", ["tabletop", "bar"])
def test_generators(examples: Path, spec: str) -> None:
    texts = [*PROMPTS, *ODD, "a forbidden ball"]
    check_generator(
        lambda: create("generator", spec),
        [ClipRequest(text, seed) for seed, text in enumerate(texts)],
    )


@pytest.mark.parametrize("spec", ["kinematic", "oracle", "brightness"])
def test_judges(examples: Path, spec: str) -> None:
    made = create("generator", "tabletop").generate(
        [ClipRequest(text, seed) for seed, text in enumerate(PROMPTS)]
    )
    requests = [
        JudgeRequest(store_clip(frames, examples, f"{number:08d}"), text)
        for number, (frames, text) in enumerate(zip(made, PROMPTS, strict=True))
    ]
    if spec == "oracle":
        # The truth is known without the file: a broken file changes nothing for it.
        judge = create("judge", spec)
        check_info(judge.info)
        assert [judge.score([one])[0] for one in requests] == list(judge.score(requests))
    else:
        check_judge(lambda: create("judge", spec), requests)


def test_the_kit_notices_a_refiner_that_depends_on_its_batch() -> None:
    class Leaky:
        info = replace(create("refiner", "identity").info, name="leaky")

        def refine(self, prompts, seeds):
            return [Refinement(f"{prompt} of {len(prompts)}") for prompt in prompts]

    with pytest.raises(AssertionError, match="whatever else is in the batch"):
        check_refiner(Leaky, ["a", "b"])


def test_the_kit_notices_a_hidden_seed_an_empty_text_and_a_lost_result() -> None:
    info = create("refiner", "identity").info

    def refiner(result):
        class Made:
            def __init__(self):
                self.info = info

            def refine(self, prompts, seeds):
                return result(prompts, seeds)

        return Made

    broken = {
        "same result": lambda prompts, seeds: [Refinement(str(seed)) for seed in seeds],
        "never empty": lambda prompts, seeds: [Refinement(" ") for _ in prompts],
        "one per input": lambda prompts, seeds: [Refinement("x")],
        "but got": lambda prompts, seeds: list(prompts),
    }
    for words, result in broken.items():
        with pytest.raises(AssertionError, match=words):
            check_refiner(refiner(result), ["a", "b"])


def test_the_kit_notices_a_generator_that_forgets_its_seed() -> None:
    class Drifting:
        info = create("generator", "tabletop").info

        def __init__(self):
            self.calls = 0

        def generate(self, requests):
            self.calls += 1
            pixels = np.full((2, 16, 16, 3), 40 * self.calls % 256, np.uint8)
            return [Frames(pixels, 8.0) for _ in requests]

    with pytest.raises(AssertionError, match="same clip"):
        check_generator(Drifting, [ClipRequest("a", 1), ClipRequest("b", 2)])


def test_the_kit_notices_a_judge_that_guesses() -> None:
    class Guessing:
        def __init__(self, value=3.0):
            self.info = create("judge", "oracle").info
            self.value = value

        def score(self, requests):
            return [Score(self.value, self.value) for _ in requests]

    requests = [JudgeRequest(Clip(None, "0" * 64, name), "a") for name in "ab"]
    with pytest.raises(AssertionError, match="cannot be read must not get a score"):
        check_judge(Guessing, requests)
    with pytest.raises(AssertionError, match="Scores must lie in"):
        check_judge(lambda: Guessing(0.0), requests)


def test_contributing_shows_the_code_that_is_tested() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    code = (ROOT / "tests/example_package/phybench_example.py").read_text()
    shown = re.search(r"```python\n(   class Shout.*?)```", page, re.DOTALL)
    assert shown is not None
    plain = "\n".join(line.removeprefix("   ") for line in shown[1].splitlines()).strip()
    assert plain in code
    assert 'shout = "phybench_example:Shout"' in page
