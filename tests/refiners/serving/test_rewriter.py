from __future__ import annotations

import csv
import re
import runpy
import sys

import pytest
from tools.places import ROOT

from phybench.errors import ConfigError
from phybench.refiners.serving.rewriter import RefinementError, load_rewriter


@pytest.fixture
def rewrite(tmp_path):
    path = tmp_path / "captions.csv"
    with path.open("w", newline="") as file:
        rows = [
            ("caption", "upsampled_caption"),
            ("a ball", "A ball rolls."),
            ("ice", "Ice floats."),
        ]
        csv.writer(file).writerows(rows)
    return load_rewriter(f"upsampled:file={path}")


def test_a_text_goes_in_and_a_text_comes_out(rewrite):
    assert rewrite("a ball") == "A ball rolls."
    assert rewrite.many(["ice", "a ball"]) == ["Ice floats.", "A ball rolls."]
    assert rewrite.refinements(["ice"], seeds=[1])[0].finish_reason == "stop"


def test_a_failure_is_raised_and_never_the_prompt(rewrite):
    with pytest.raises(RefinementError, match="missing") as error:
        rewrite("something else")
    assert error.value.failure.kind == "missing"


def test_an_unknown_refiner_is_named():
    with pytest.raises(ConfigError, match="known refiner"):
        load_rewriter("no-such-refiner")


@pytest.mark.slow
def test_the_documented_three_lines_run(monkeypatch):
    """The block of docs/refiners.md, to the letter, with a real, tiny CogVideoX pipeline."""
    pytest.importorskip("diffusers", reason="the extra `video` is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "generators"))
    from tools.models.pipelines.cogvideox import cogvideox

    page = (ROOT / "docs" / "refiners.md").read_text()
    block = re.search(r"```python\n(.*?load_rewriter.*?)```", page, re.DOTALL)
    model, asked = cogvideox(), []

    def pipe(prompt):
        asked.append(prompt)
        return model(
            prompt, num_frames=9, height=16, width=16, num_inference_steps=1, output_type="np"
        )

    names = {"pipe": pipe}
    exec(block[1], names)
    assert len(names["video"]) == 9
    (text,) = asked
    assert text.startswith("a ball rolls down a hill")
    assert len(text) > len("a ball rolls down a hill")


@pytest.mark.slow
def test_the_documented_example_runs(tmp_path, monkeypatch, capsys):
    """The example in front of a real, tiny CogVideoX pipeline."""
    pytest.importorskip("diffusers", reason="the extra `video` is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "generators"))
    from tools.models.pipelines.cogvideox import cogvideox

    from phybench.video.video_file import probe

    cogvideox().save_pretrained(tmp_path / "model")
    example = ROOT / "examples" / "refine_before_diffusers.py"
    settings = ["--frames", "9", "--height", "64", "--width", "64", "--steps", "2"]
    places = ["--model", str(tmp_path / "model"), "--output", str(tmp_path / "ball.mp4")]
    arguments = [str(example), *places, *settings, "a ball rolls down a hill"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example), run_name="__main__")
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.strip()) > len("a ball rolls down a hill")
    assert probe(tmp_path / "ball.mp4").frames == 9
