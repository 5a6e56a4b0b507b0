from __future__ import annotations

import csv

import pytest
from tools.places import SHARED

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure
from phybench.refiners.upsampled import Upsampled, cleaned
from phybench.testing import check_refiner

REAL = SHARED / "data/videophy2/prompts_test.csv"


def table(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("caption", "upsampled_caption"), *rows])
    return path


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("A ball.", "A ball."),
        ("“A ball rolls.”", "A ball rolls."),
        ('"A ball rolls."', "A ball rolls."),
        ("#####\n\nA ball.", "A ball."),
        ("##### Long Caption:\n\nA ball.", "A ball."),
        ("\t\n A ball. ", "A ball."),
        ('"Go" and "stop"', '"Go" and "stop"'),
        ("#1 on a shirt", "#1 on a shirt"),
    ],
)
def test_what_the_upsampler_left_around_is_taken_off(raw, expected):
    assert cleaned(raw) == expected


def test_prompts_get_their_captions(tmp_path):
    file = table(tmp_path / "p.csv", ("A ball rolls. ", "“Long.”"), ("No caption", "nan"))
    refiner = Upsampled(file=file)
    found, empty, other = refiner.refine(["A ball rolls.", "No caption", "Else"], [0, 0, 0])
    assert found.text == "Long."
    assert isinstance(empty, Failure)
    assert (other.kind, other.retryable) == ("missing", False)
    assert Upsampled(file=file, clean=False).refine(["A ball rolls."], [0])[0].text == "“Long.”"


def test_contract(tmp_path):
    file = table(tmp_path / "p.csv", ("a", "A long."), ("b", "B long."))
    check_refiner(lambda: Upsampled(file=file), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "one"), ("a", "two")], "one upsampled caption per prompt"),
        ([("a", "")], "holds none"),
        ([], "Expected rows"),
    ],
)
def test_a_file_that_cannot_serve_is_refused(tmp_path, rows, message):
    with pytest.raises(ConfigError, match=message):
        Upsampled(file=table(tmp_path / "p.csv", *rows))


@pytest.mark.skipif(not REAL.is_file(), reason="VideoPhy-2's prompts are not on this machine")
def test_all_591_published_captions():
    with REAL.open(newline="") as file:
        prompts = [row["caption"] for row in csv.DictReader(file)]
    refined = Upsampled(file=REAL).refine(prompts, [0] * len(prompts))
    texts = [one.text for one in refined]
    assert len(texts) == len(set(texts)) == 591
    assert not any(text[0] in "#“\t\n " for text in texts)
    words = [len(text.split()) for text in texts]
    assert sum(words) / 591 == pytest.approx(137.9, abs=0.2)  # facts: 137.9 words, 170 at most
    assert max(words) == 170
