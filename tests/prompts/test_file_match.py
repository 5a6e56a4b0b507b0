"""One file name in several folders is never taken for the other file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.harness import do_run, phybench, run_config

from phybench import Clip, ConfigError, JudgeRequest
from phybench.planning.plan import build_plan, warnings
from phybench.plugins.registry import create
from phybench.prompts.file_match import match_files, match_names
from phybench.running.clip_table import load_clips


@pytest.mark.parametrize(
    ("names", "there", "found", "by_file_name"),
    [
        (["a/1", "b/1"], ["a/1", "b/1"], ("a/1", "b/1"), 0),
        (["a/1", "b/1"], ["1"], (None, None), 0),
        (["a/1", "b/1"], ["a/1"], ("a/1", None), 0),
        (["a/1", "a/1"], ["1"], ("1", "1"), 1),
        (["1"], ["a/1"], ("a/1",), 1),
        (["1"], ["a/1", "b/1"], (None,), 0),
        (["b/1"], ["a/1"], (None,), 0),
        (["https://host/a/1"], ["a/1"], ("a/1",), 1),
        (["ba/1"], ["a/1"], (None,), 0),
    ],
)
def test_a_whole_path_first_and_a_file_name_only_beyond_doubt(
    names: list[str], there: list[str], found: tuple[str | None, ...], by_file_name: int
) -> None:
    matches = match_names(names, there)
    assert (matches.found, matches.by_file_name) == (found, by_file_name)


def table(folder: Path, *names: str, clip: str = "1.mp4") -> Path:
    """A table of these clips in a folder that holds one file."""
    (folder / clip).parent.mkdir(exist_ok=True)
    (folder / clip).write_bytes(b"clip")
    rows = "".join(f"{name},a ball falls,{number}\n" for number, name in enumerate(names))
    (folder / "clips.csv").write_text(f"videopath,caption,model\n{rows}")
    return folder / "clips.csv"


def test_two_rows_are_not_scored_from_one_file(workplace: Path) -> None:
    clips = table(workplace, "a/1.mp4", "b/1.mp4")
    with pytest.raises(ConfigError, match="2 are not there"):
        load_clips(clips)
    refused = phybench("score", "-j", "oracle", "--clips", str(clips))
    assert refused.returncode == 2
    assert "'a/1.mp4'" in refused.stderr


def test_a_missing_clip_is_not_another_model_s(workplace: Path) -> None:
    clips = table(workplace, "a/1.mp4", "b/1.mp4", clip="a/1.mp4")
    with pytest.raises(ConfigError, match=r"1 are not there, the first is 'b/1\.mp4'"):
        load_clips(clips)


def test_a_unique_file_name_is_taken_and_said(workplace: Path) -> None:
    found = load_clips(table(workplace, "a/1.mp4"))
    assert "1 clips were found by their file's name alone" in found.remark
    assert load_clips(table(workplace, "1.mp4")).remark == ""
    assert match_files(["a/1.mp4"], workplace).found == ("1.mp4",)


def test_a_manifest_s_models_are_not_given_one_file(workplace: Path) -> None:
    table(workplace, "a/1.mp4", "b/1.mp4")
    for model in ("0", "1"):
        config = run_config(
            None,
            refiners=("identity",),
            generators=(f"files:manifest=clips.csv,model={model}",),
            judges=("oracle",),
            seeds=1,
        )
        with pytest.raises(ConfigError, match="Expected a file at"):
            build_plan(config)


def test_labels_are_not_another_model_s(workplace: Path) -> None:
    Path("clips.csv").write_text("videopath,caption\nA/1.mp4,a ball\nB/1.mp4,a cube\n")
    Path("labels.csv").write_text("videopath,sa,pc\nA/1.mp4,5,5\n")
    config = run_config(
        None,
        refiners=("identity",),
        generators=("files:manifest=clips.csv,clips=absent",),
        judges=("labels:file=labels.csv",),
        seeds=1,
    )
    with pytest.raises(ConfigError, match=r"label for clip 'B/1\.mp4'"):
        do_run(config, Path("out"), Path("cache"))


def test_a_label_of_another_folder_is_no_label(workplace: Path) -> None:
    Path("labels.csv").write_text("videopath,sa,pc\nA/1.mp4,5,4\n")
    judge = create("judge", "labels:file=labels.csv")
    for source, sa in (("B/1.mp4", None), ("A/1.mp4", 5), ("1.mp4", 5), ("/data/A/1.mp4", 5)):
        (score,) = judge.score([JudgeRequest(Clip(None, "0" * 64, source), "a ball")])
        assert score.sa == sa


def test_a_run_says_which_clips_it_found_by_name(workplace: Path) -> None:
    path = table(workplace, "a/1.mp4")
    Path("labels.csv").write_text("videopath,sa,pc\n1.mp4,5,4\n")
    config = run_config(
        None,
        refiners=("identity",),
        generators=(f"files:manifest={path},clips=absent",),
        judges=("labels:file=labels.csv",),
        seeds=1,
    )
    assert (
        "labels: 1 labels were found by their file's name alone" in warnings(build_plan(config))[0]
    )
    generator = create("generator", f"files:manifest={path}")
    assert (
        "1 clips were found by their file's name alone" in generator.remarks(build_plan(config))[0]
    )
