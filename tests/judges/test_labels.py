from __future__ import annotations

from pathlib import Path

import pytest
from tools.harness import do_run, run_config

from phybench import BINARY, LIKERT, Clip, ConfigError, JudgeRequest, Score
from phybench.plugins.registry import create
from phybench.testing import check_judge


def request(source: str, sha256: str = "0" * 64) -> JudgeRequest:
    return JudgeRequest(Clip(None, sha256, source), "a ball")


def labels(text: str, options: str = ""):
    Path("labels.csv").write_text(text)
    return create("judge", f"labels:file=labels.csv{options}")


def test_contract(workplace: Path) -> None:
    check_judge(
        lambda: labels("videopath,sa,pc\na.mp4,4,2\nb.mp4,1,5\n"),
        [request("a.mp4"), request("b.mp4"), request("c.mp4")],
    )


def test_labels_are_found_by_name_file_name_and_digest(workplace: Path) -> None:
    digest = "ab" * 32
    judge = labels(f"videopath,sa,pc\nx/a.mp4,4,2\nhttps://h/b.mp4,1,5\n{digest},3,3\n")
    found = judge.score([request("x/a.mp4"), request("b.mp4"), request("", digest)])
    assert found == [Score(4, 2), Score(1, 5), Score(3, 3)]


def test_an_ambiguous_file_name_is_not_guessed(workplace: Path) -> None:
    judge = labels("videopath,sa,pc\nx/a.mp4,4,2\ny/a.mp4,1,5\n")
    (score,) = judge.score([request("z/a.mp4")])
    assert score.sa is None
    assert "No label" in score.details["reason"]


@pytest.mark.parametrize(
    ("text", "options", "scale"),
    [
        ("clip,sa,pc\na,1,0\n", "", BINARY),
        ("clip,sa,pc\na,1,5\n", "", LIKERT),
        ("clip,sa,pc\na,1,1\n", ",scale=binary", BINARY),
        ("clip,sa,pc\na,1,1\n", ",scale=likert", LIKERT),
    ],
)
def test_the_scale_shows_in_the_values_or_is_named(
    workplace: Path, text: str, options: str, scale: object
) -> None:
    assert labels(text, options).info.scale == scale


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("clip,sa,pc\na,1,1\n", "", "all are 1"),
        ("clip,sa,pc\na,6,1\n", "", "labels in 1..5"),
        ("clip,sa,pc\na,0,3\n", "", "got 0 for 'a'"),
        ("clip,sa,pc\na,0.5,1\n", ",scale=binary", "labels in 0..1"),
        ("clip,sa,pc\na,nan,1\n", "", "number as `sa` in row 1"),
        ("clip,sa,pc\na,good,1\n", "", "number as `sa` in row 1"),
        ("clip,sa,pc\na,,1\n", "", "`sa` in row 1"),
        ("clip,sa\na,3\n", "", "`pc`"),
        ("name,sa,pc\na,3,3\n", "", "`sha256` or `videopath`"),
        ("clip,sa,pc\na,3,3\na,4,3\n", "", "row 2 gives 'a' the second"),
    ],
)
def test_bad_labels_are_refused(workplace: Path, text: str, options: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        labels(text, options)
    assert words in str(error.value)


@pytest.mark.parametrize("options", ["", ":sa=x.csv", ":file=x.csv,sa=y.csv,pc=z.csv"])
def test_one_file_or_two_are_needed(options: str) -> None:
    with pytest.raises(ConfigError, match="`file`, or both `sa` and `pc`"):
        create("judge", f"labels{options}")


def config(unmatched: str = "error"):
    return run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=("files:manifest=clips.csv,clips=absent",),
        judges=(f"labels:file=labels.csv,unmatched={unmatched}",),
    )


def test_clips_without_labels_and_labels_without_clips_stop_the_run(workplace: Path) -> None:
    Path("clips.csv").write_text("video,prompt\na.mp4,a ball\nb.mp4,a cube\n")
    Path("labels.csv").write_text("video,sa,pc\na.mp4,4,2\nc.mp4,5,5\n")
    with pytest.raises(ConfigError) as error:
        do_run(config(), Path("out"), Path("cache"))
    assert "label for clip 'b.mp4'" in str(error.value)
    assert "clip for label 'c.mp4'" in str(error.value)
    assert not Path("out").exists()
    (cell,) = do_run(config("unscored"), Path("out"), Path("cache")).cells
    assert cell.counts == {"planned": 2, "scored": 1, "unscored": 1, "failed": 0}
