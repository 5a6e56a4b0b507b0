"""A view in a run: what judges see, and what stays as it is."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tools.clip_files import write_clip
from tools.harness import do_run, phybench, rows, run_config, write_prompts

from phybench import ConfigError
from phybench.compare.pairing import pair_runs
from phybench.planning.plan import build_plan, warnings
from phybench.runs.cells import load_run
from phybench.runs.items import clip_of, read_items
from phybench.runs.merging import merge_runs
from phybench.video.common_view import View

VIEWED: dict[str, Any] = {"view": View(fps=4, width=32, height=32)}


def test_judges_see_the_view_and_the_native_clips_stay(examples: Path) -> None:
    prompts = write_prompts(examples, 4)
    plain = do_run(run_config(prompts), Path("plain"), Path("cache"))
    seen = do_run(run_config(prompts, **VIEWED), Path("seen"), Path("cache"))
    assert seen.counts["generator"].cached == 16, "native clips do not depend on the view"
    assert seen.counts["view"].done == 16
    items = rows(Path("seen/items.jsonl"))
    natives = {row["index"]: row["clip"] for row in rows(Path("plain/items.jsonl"))}
    assert {row["index"]: row["clip"] for row in items} == natives
    for row in items:
        assert (row["view"]["frames"], row["view"]["fps"], row["view"]["width"]) == (1, 4.0, 32)
        assert row["view"]["meta"]["view"]["as"] == "fps=4,size=32x32"
    by_index = {row["index"]: row for row in items}
    for row in rows(Path("seen/scores.jsonl")):
        item = by_index[row["index"]]
        assert (row["clip"], row["view"]) == (item["clip"]["sha256"], item["view"]["sha256"])
    assert "view:fps=4,size=32x32" in seen.cells[0].signature
    assert json.loads(Path("seen/run.json").read_text())["settings"]["view"]["width"] == 32
    assert [cell.signature for cell in plain.cells] != [cell.signature for cell in seen.cells]
    clip = clip_of(read_items(Path("seen"))[0])
    assert clip is not None
    assert clip.sha256 == items[0]["view"]["sha256"], "a clip judged again is seen as it was"


def test_two_views_share_no_score_and_no_table(examples: Path) -> None:
    """`fps=100` shows the very frames of `fps=100,seconds=60`: even so they are two instruments."""
    prompts = write_prompts(examples, 3)
    one, two = (View(fps=100), View(fps=100, seconds=60))
    do_run(run_config(prompts, view=one), Path("one"), Path("cache"))
    second = do_run(run_config(prompts, view=two), Path("two"), Path("cache"))
    assert second.counts["judge"].cached == 0
    digests = [
        json.loads((Path(name) / "run.json").read_text())["plugins"]["judge"][0][
            "fingerprint_sha256"
        ]
        for name in ("one", "two")
    ]
    assert digests[0] != digests[1]
    with pytest.raises(ConfigError, match="same settings"):
        merge_runs([load_run(Path("one")), load_run(Path("two"))])
    with pytest.raises(ConfigError, match="`brightness` differs in its fingerprint"):
        pair_runs([load_run(Path("one")), load_run(Path("two"))])
    with pytest.raises(ConfigError, match="other `view`"):
        do_run(run_config(prompts, view=two), Path("one"), Path("cache"))
    with pytest.raises(ConfigError, match="other `view`"):
        do_run(run_config(prompts), Path("one"), Path("cache"))


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "workers"), [("local", 1), ("local", 2)])
def test_a_view_does_not_depend_on_how_it_is_made(
    examples: Path, executor: str, workers: int | None
) -> None:
    prompts = write_prompts(examples, 3)
    do_run(run_config(prompts, **VIEWED), Path("reference"), Path("cache0"))
    do_run(run_config(prompts, **VIEWED), Path("other"), Path("cache1"), executor, workers)
    found = [
        sorted((row["index"], row["view"]["sha256"]) for row in rows(Path(name) / "items.jsonl"))
        for name in ("reference", "other")
    ]
    assert found[0] == found[1]


def test_a_generator_whose_clips_are_shorter_is_named(examples: Path) -> None:
    """`bar` makes two frames at 8 fps."""
    prompts = write_prompts(examples, 2)

    def told(**changes: Any) -> list[str]:
        return warnings(build_plan(run_config(prompts, **changes)))

    (warning,) = told(view=View(seconds=6))
    assert "`bar` last 0.25 s, less than the 6 s" in warning
    assert told(view=View(seconds=0.25)) == told(view=View(fps=4)) == told() == []


def test_several_judges_and_arms_share_a_view(examples: Path) -> None:
    Path("same.csv").write_text("prompt,refined\na ball,a ball\na cube,a cube\n")
    Path("prompts.txt").write_text("a ball\na cube\n")
    config = run_config(
        Path("prompts.txt"),
        refiners=("identity", "replay:file=same.csv"),
        judges=("brightness", "brightness:as=second"),
        seeds=1,
        **VIEWED,
    )
    do_run(config, Path("out"), Path("cache"))
    assert len(list(Path("cache/clips").rglob("*.mp4"))) == 4, "two clips and a view of each"
    again = do_run(config, Path("again"), Path("cache"))
    assert (again.counts["view"].cached, again.counts["judge"].cached) == (4, 8)


def test_a_clip_that_cannot_be_shown_fails_alone(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(examples / "good.mp4", frames=8)
    write_clip(examples / "long.mp4", frames=60)
    Path("m.csv").write_text("videopath,caption\ngood.mp4,a ball\nlong.mp4,a long ball\n")
    monkeypatch.setattr("phybench.video.view_maker.MAX_PIXELS", 32 * 32 * 100)
    config = run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=("files:manifest=m.csv",),
        view=View(fps=16, width=32, height=32),
    )
    outcome = do_run(config, Path("out"), Path("cache"))
    assert outcome.cells[0].counts == {"planned": 2, "scored": 1, "unscored": 0, "failed": 1}
    assert (outcome.counts["view"].done, outcome.counts["view"].failed) == (2, 1)
    failed = [row for row in rows(Path("out/items.jsonl")) if row["status"] == "failed"]
    assert [row["error"]["stage"] for row in failed] == ["view"]
    assert "fps=16,size=32x32" in failed[0]["error"]["message"]
    assert failed[0]["clip"]["source"] == "long.mp4", "the native clip is there all the same"


def test_oracle_reads_the_truth_behind_a_view(workplace: Path) -> None:
    Path("prompts.txt").write_text("A red ball falls onto the table.\nA blue cube slides.\n")
    arms = {"refiners": ("identity",), "generators": ("tabletop",), "judges": ("oracle",)}
    plain = do_run(run_config(Path("prompts.txt"), **arms), Path("a"), Path("cache"))
    view = View(fps=4, seconds=1, width=96, height=64)
    seen = do_run(run_config(Path("prompts.txt"), **arms, view=view), Path("b"), Path("cache"))
    assert plain.cells[0].counts["scored"] == 4
    assert seen.cells[0].counts == plain.cells[0].counts
    assert seen.cells[0].rates["joint"].rate == plain.cells[0].rates["joint"].rate


@pytest.mark.parametrize("column", ["videopath", "sha256"])
def test_labels_stay_those_of_the_native_clip(examples: Path, column: str) -> None:
    clips = [write_clip(examples / f"{n}.mp4", value=80 * n) for n in range(2)]
    Path("m.csv").write_text("videopath,caption\n0.mp4,a ball\n1.mp4,a cube\n")
    names = (
        [clip.name for clip in clips]
        if column == "videopath"
        else [hashlib.sha256(clip.read_bytes()).hexdigest() for clip in clips]
    )
    Path("labels.csv").write_text(f"{column},sa,pc\n{names[0]},5,5\n{names[1]},2,5\n")
    config = run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=("files:manifest=m.csv",),
        judges=("labels:file=labels.csv,unmatched=unscored",),
        **VIEWED,
    )
    cell = do_run(config, Path("out"), Path("cache")).cells[0]
    assert (cell.counts["scored"], cell.rates["joint"].rate) == (2, 0.5)


def test_labels_need_no_clip_even_under_a_view(examples: Path) -> None:
    Path("m.csv").write_text("video_url,caption\nhttps://x/0.mp4,a ball\n")
    Path("labels.csv").write_text("video_url,sa,pc\nhttps://x/0.mp4,5,2\n")
    config = run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=("files:manifest=m.csv,clips=absent",),
        judges=("labels:file=labels.csv",),
        **VIEWED,
    )
    outcome = do_run(config, Path("out"), Path("cache"))
    assert outcome.cells[0].counts["scored"] == 1
    assert (outcome.counts["view"].total, outcome.counts["view"].done) == (0, 0)


@pytest.mark.slow
def test_the_command_line_takes_a_view(examples: Path) -> None:
    write_prompts(examples, 2)
    command = ("run", "-r", "identity", "-g", "bar", "-j", "brightness", "-p", "prompts.txt")
    rest = ("-o", "out", "--executor", "serial", "--no-plots", "--seeds", "1")
    done = phybench(*command, *rest, "--view", "fps=4,size=32x32")
    assert done.returncode == 0, done.stderr
    assert "view 2/2" in done.stderr
    assert {row["view"]["width"] for row in rows(Path("out/items.jsonl"))} == {32}
    planned = phybench("plan", *command[1:], "--seeds", "1", "--view", "fps=4,size=32x32", "--json")
    stages = {stage["kind"]: stage for stage in json.loads(planned.stdout)["stages"]}
    assert all(stage["units"] == stage["cached"] == 2 for stage in stages.values())
    assert set(stages) == {"refiner", "generator", "view", "judge"}
    for arguments in (("run", *command[1:]), ("score", "-j", "brightness", "--clips", "x.csv")):
        bad = phybench(*arguments, "--view", "fps=0")
        assert (bad.returncode, "`fps` of `view`" in bad.stderr) == (2, True)


@pytest.mark.parametrize("text", ["view: fps=4,size=32x32", "view: {fps: 4, size: 32x32}"])
def test_a_config_file_takes_a_view(examples: Path, text: str) -> None:
    from phybench.planning.config import RunConfig, read_config

    write_prompts(examples, 2)
    Path("run.yaml").write_text(
        f"refiners: identity\ngenerators: bar\njudges: brightness\nprompts: prompts.txt\n{text}\n"
    )
    assert build_plan(RunConfig(**read_config(Path("run.yaml")))).view == VIEWED["view"]


@pytest.mark.slow
def test_score_shows_clips_as_a_run_would(examples: Path) -> None:
    write_clip(examples / "c.mp4", frames=16)
    Path("bad.mp4").write_bytes(b"nothing")
    Path("clips.csv").write_text("videopath,caption\nc.mp4,a ball\nbad.mp4,a cup\n")
    plain = phybench("score", "-j", "brightness", "--clips", "clips.csv")
    arguments = ("score", "-j", "brightness", "--clips", "clips.csv", "--view", "size=64x32")
    seen = phybench(*arguments)
    assert (plain.returncode, seen.returncode) == (1, 1)
    tables = [list(csv.DictReader(done.stdout.splitlines())) for done in (plain, seen)]
    assert [row["view"] for row in tables[1]] == ["size=64x32"] * 2
    assert [row["status"] for row in tables[1]] == ["scored", "failed"]
    # Half of the picture is black bars now.
    halved = 1 + (float(tables[0][0]["pc"]) - 1) / 2
    assert float(tables[1][0]["pc"]) == pytest.approx(halved, abs=0.1)
    assert phybench(*arguments).stdout == seen.stdout
