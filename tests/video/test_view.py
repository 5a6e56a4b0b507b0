"""The common view: what judges see instead of clips of different rates, lengths and sizes."""

from __future__ import annotations

import csv
import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.clip_files import write_clip
from tools.harness import do_run, phybench, rows, run_config, write_prompts

from phybench import Clip, ConfigError, Failure
from phybench.compare.pairing import pair_runs
from phybench.planning.plan import build_plan, warnings
from phybench.runs.cells import load_run
from phybench.runs.items import clip_of, read_items
from phybench.runs.merging import merge_runs
from phybench.video.clip_store import described
from phybench.video.common_view import View, parse_view
from phybench.video.video_file import read_frames, write_frames
from phybench.video.view_maker import Viewer, fitted, shown_to_judges

PAPER = "fps=4,seconds=6,size=720x480"
STEP = 5
"""Grey levels between neighbouring frames: far more than the encoder changes."""


def counted_clip(path: Path, frames: int, fps: float, size: tuple[int, int] = (32, 32)) -> Clip:
    """A clip whose frame n has the grey level 5 n."""
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.uint8(STEP)
    write_frames(path, np.broadcast_to(levels, (frames, size[1], size[0], 3)).copy(), fps)
    clip = described(path)
    assert isinstance(clip, Clip)
    return clip


def shown(clip: Clip, view: str, folder: Path) -> Clip:
    folder.mkdir(exist_ok=True)
    viewer = Viewer(**parse_view(view).options())
    key = hashlib.sha256(f"{clip.sha256} {view}".encode()).hexdigest()
    made = viewer.show(clip, folder, key)
    assert isinstance(made, Clip), made
    return made


def levels(clip: Clip) -> list[int]:
    """Which native frame each frame of the view is."""
    assert clip.path is not None
    frames, _ = read_frames(clip.path)
    return [round(float(frame.mean()) / STEP) for frame in frames]


@pytest.mark.parametrize(
    ("frames", "fps", "view", "expected"),
    [
        (16, 8, "fps=4", [0, 2, 4, 6, 8, 10, 12, 14]),
        (17, 8, "fps=4", [0, 2, 4, 6, 8, 10, 12, 14, 16]),
        (6, 8, "fps=16", [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (49, 8, "fps=4,seconds=6", list(range(0, 48, 2))),
        (9, 10, "fps=4", [0, 2, 5, 7]),  # 0.9 s: frames last shown by 0, 0.25, 0.5, 0.75 s
        (10, 8, "fps=4,seconds=60", [0, 2, 4, 6, 8]),
        (12, 8, "seconds=1", list(range(8))),
        (5, 8, "fps=0.5", [0]),
        (1, 8, "fps=4,seconds=6", [0]),
    ],
)
def test_a_view_shows_the_frame_last_shown_by_then(
    tmp_path: Path, frames: int, fps: float, view: str, expected: list[int]
) -> None:
    """At time j / rate stands native frame floor(j * fps / rate), worked out by hand."""
    made = shown(counted_clip(tmp_path / "n.mp4", frames, fps), view, tmp_path / "clips")
    assert levels(made) == expected
    assert made.fps == pytest.approx(parse_view(view).fps or fps)


def test_a_coarse_clock_shifts_no_frame(tmp_path: Path) -> None:
    """Matroska keeps times in milliseconds: at 30 fps frame 2 stands at 67 ms, after 2/30 s."""
    path = tmp_path / "coarse.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 32
        for number in range(30):
            frame = np.full((32, 32, 3), number * STEP, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    clip = described(path)
    assert isinstance(clip, Clip)
    assert levels(shown(clip, "fps=30", tmp_path / "clips")) == list(range(30))


@pytest.mark.parametrize(
    ("size", "view", "bars"),
    [
        ((64, 32), "size=64x64", "rows"),
        ((32, 64), "size=64x64", "columns"),
        ((32, 32), "size=64x64", "none"),
        ((128, 128), "size=64x64", "none"),
    ],
)
def test_a_picture_is_fitted_with_its_aspect(
    tmp_path: Path, size: tuple[int, int], view: str, bars: str
) -> None:
    path = tmp_path / "n.mp4"
    write_frames(path, np.full((3, size[1], size[0], 3), 200, np.uint8), 8)
    clip = described(path)
    assert isinstance(clip, Clip)
    made = shown(clip, view, tmp_path / "clips")
    assert (made.width, made.height, made.frames) == (64, 64, 3)
    assert made.path is not None
    picture = read_frames(made.path)[0][1].mean(axis=2)
    assert picture[32, 32] == pytest.approx(200, abs=4)
    dark = {"rows": picture[:12], "columns": picture[:, :12], "none": np.zeros(1)}[bars]
    assert float(dark.max()) < 12
    if bars == "none":
        assert float(picture.min()) > 180


@given(*[st.integers(2, 4000)] * 4)
def test_fitting_keeps_the_aspect_and_stays_inside(
    w: int, h: int, most_w: int, most_h: int
) -> None:
    width, height = fitted(w, h, most_w, most_h)
    assert 1 <= width <= most_w
    assert 1 <= height <= most_h
    assert width == most_w or height == most_h
    exact = min(Fraction(most_w, w), Fraction(most_h, h))
    assert abs(width - w * exact) <= max(1, Fraction(1, 2))
    assert abs(height - h * exact) <= max(1, Fraction(1, 2))


def test_an_odd_size_needs_a_size(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = 33, 31, "bgr0"
        for _ in range(3):
            frame = np.full((31, 33, 3), 99, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    clip = described(path)
    assert isinstance(clip, Clip)
    (tmp_path / "clips").mkdir()
    refused = Viewer(fps=4).show(clip, tmp_path / "clips", "00")
    assert isinstance(refused, Failure)
    assert "33x31 is odd" in refused.message
    assert shown(clip, "size=64x64", tmp_path / "clips").width == 64


def test_equal_views_are_equal_to_the_byte(tmp_path: Path) -> None:
    clip = counted_clip(tmp_path / "n.mp4", 20, 8, (48, 32))
    one, two = (shown(clip, PAPER, tmp_path / name) for name in ("one", "two"))
    assert one.sha256 == two.sha256
    assert not list((tmp_path / "one" / "tmp").iterdir())


def test_what_judges_get_says_what_they_see(tmp_path: Path) -> None:
    native = counted_clip(tmp_path / "n.mp4", 16, 8)
    view = parse_view(PAPER)
    made = shown_to_judges(native, shown(native, PAPER, tmp_path / "clips"), view)
    assert made.meta["view"] == {
        "as": PAPER,
        "short": True,
        "native_sha256": native.sha256,
        "native": [16, 8.0, 32, 32],
    }
    long = counted_clip(tmp_path / "long.mp4", 49, 8)
    seen = shown_to_judges(long, shown(long, PAPER, tmp_path / "clips"), view)
    assert (seen.meta["view"]["short"], seen.frames) == (False, 24)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at least one of `fps`"),
        ("fbs=4", "Did you mean `fps`"),
        ("fps", "`key=value`"),
        ("fps=four", "`fps` of `view` to be a number, but got 'four'"),
        ("fps=nan", "to be a number"),
        ("fps=inf", "to be a number"),
        ("fps=0", "above 0"),
        ("fps=-4", "above 0"),
        ("seconds=1e9", "at most 3600"),
        ("fps=4,fps=5", "got it twice"),
        ("size=720", "WIDTHxHEIGHT"),
        ("size=721x480", "even number of pixels"),
        ("size=0x480", "even number of pixels"),
        ("size=-2x480", "WIDTHxHEIGHT"),
    ],
)
def test_a_bad_view_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_view(text)
    assert words in str(error.value)


def test_a_view_has_one_text() -> None:
    assert str(parse_view(" size=720X480, seconds=6.0 ,fps=4")) == PAPER
    assert parse_view(str(View(fps=23.976))) == View(fps=23.976)


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
