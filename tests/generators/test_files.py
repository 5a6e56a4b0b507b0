from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np
import pytest
from tools.clip_files import BAD_KINDS, write_bad_clip, write_clip
from tools.harness import do_run, phybench, rows, run_config

from phybench import ClipRequest, ConfigError, NoVideo, VideoFile
from phybench.planning.plan import build_plan
from phybench.plugins.registry import create
from phybench.publish.leaderboard import leaderboard_row
from phybench.testing import check_generator
from phybench.video.video_file import VideoError, peek, probe, read_frames


def write_manifest(path: Path, columns: list[str], table: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *table])
    return path


@pytest.fixture
def clips(examples: Path) -> Path:
    folder = examples / "clips"
    folder.mkdir()
    for number in range(3):
        write_clip(folder / f"c{number}.mp4", value=60 * number)
    write_manifest(
        folder / "m.csv",
        ["videopath", "caption"],
        [["c0.mp4", "a ball"], ["c1.mp4", "a cube"], ["c2.mp4", "a cube"]],
    )
    return folder


@pytest.mark.slow
def test_contract(clips: Path) -> None:
    requests = [ClipRequest("a ball", 1), ClipRequest("a cube", 2), ClipRequest("a cube", 3, k=1)]
    check_generator(
        lambda: create("generator", f"files:manifest={clips / 'm.csv'}"),
        [*requests, ClipRequest("not there", 4)],
    )


def test_clips_are_found_by_text_and_repeat_and_read_in_place(clips: Path) -> None:
    files = create("generator", f"files:manifest={clips / 'm.csv'}")
    assert files.prompts() == ["a ball", "a cube"]
    found = files.generate([ClipRequest("a cube", 0, k) for k in (0, 1)])
    assert found == [VideoFile(clips / name, name, move=False) for name in ("c1.mp4", "c2.mp4")]


def test_a_run_over_clips_takes_its_prompts_from_the_manifest(clips: Path) -> None:
    write_manifest(clips / "one.csv", ["path", "prompt"], [["c0.mp4", "a ball"]])
    done = phybench(
        *("run", "-g", f"files:manifest={clips / 'one.csv'}", "-j", "brightness", "-o", "out"),
        *("--executor", "serial", "--no-plots"),
    )
    assert done.returncode == 0, done.stderr
    (item,) = rows(Path("out/items.jsonl"))
    assert (item["prompt"], item["clip"]["source"]) == ("a ball", "c0.mp4")
    assert item["clip"]["path"] == str(clips / "c0.mp4")


def test_a_clip_of_a_refined_text_is_found_by_that_text(clips: Path) -> None:
    write_manifest(
        clips / "refined.csv",
        ["videopath", "prompt", "text"],
        [["c0.mp4", "a ball", "a ball"], ["c1.mp4", "a ball", "A BALL!"]],
    )
    config = run_config(None, seeds=1, generators=(f"files:manifest={clips / 'refined.csv'}",))
    do_run(config, Path("out"), Path("cache"))
    sources = {item["refiner"]: item["clip"]["source"] for item in rows(Path("out/items.jsonl"))}
    assert sources == {"identity": "c0.mp4", "shout": "c1.mp4"}


def test_what_is_missing_or_unreadable_is_listed_before_work(clips: Path) -> None:
    table: list[list[object]] = [["c0.mp4", "a ball"], ["gone.mp4", "a cone"]]
    for number, kind in enumerate(BAD_KINDS):
        write_bad_clip(clips / f"bad{number}.mp4", kind)
        table.append([f"bad{number}.mp4", f"bad {number}"])
    write_manifest(clips / "bad.csv", ["videopath", "caption"], table)
    prompts = write_manifest(
        Path("p.csv"),
        ["prompt"],
        [["a ball"], ["a cone"], ["unpaired"], *([x[1]] for x in table[2:])],
    )
    config = run_config(
        prompts,
        seeds=1,
        refiners=("identity",),
        generators=(f"files:manifest={clips / 'bad.csv'}",),
    )
    with pytest.raises(ConfigError) as error:
        build_plan(config)
    words = str(error.value)
    for part in ("'gone.mp4'", "'unpaired'", *(f"bad{n}.mp4" for n in range(len(BAD_KINDS)))):
        assert part in words


def test_a_clip_that_is_cut_off_late_fails_alone(clips: Path) -> None:
    """Header and first frame are fine, so only decoding all of it shows that the rest is gone."""
    with av.open(str(clips / "late.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8, options={"g": "1"})
        stream.width = stream.height = 64
        noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    whole = (clips / "late.mp4").read_bytes()
    (clips / "late.mp4").write_bytes(whole[: len(whole) // 2])
    peek(clips / "late.mp4")
    manifest = write_manifest(
        clips / "late.csv", ["videopath", "caption"], [["c0.mp4", "a ball"], ["late.mp4", "late"]]
    )
    config = run_config(
        None, seeds=1, refiners=("identity",), generators=(f"files:manifest={manifest}",)
    )
    do_run(config, Path("out"), Path("cache"))
    found = {item["prompt"]: item for item in rows(Path("out/items.jsonl"))}
    assert found["a ball"]["status"] == "ok"
    assert found["late"]["error"]["kind"] == "decode"
    assert "late.mp4" in found["late"]["error"]["message"]


def test_a_clip_without_a_frame_rate_is_named_as_such(clips: Path) -> None:
    path = write_bad_clip(clips / "timeless.mkv", "no frame rate")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert len(list(container.decode(stream))) == 4, "it decodes: only its rate is missing"
        assert stream.average_rate is None
    for read in (peek, probe, read_frames):
        with pytest.raises(VideoError, match=r"'timeless\.mkv' to have a frame rate above 0"):
            read(path)


def test_a_one_frame_clip_is_a_clip(clips: Path) -> None:
    write_clip(clips / "still.mp4", frames=1)
    assert read_frames(clips / "still.mp4")[0].shape == (1, 16, 16, 3)


def test_an_enormous_clip_is_refused(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phybench.video.video_file.MAX_PIXELS", 16 * 16 * 5)
    with pytest.raises(VideoError, match="at most 1280 pixels"):
        peek(clips / "c0.mp4")
    with pytest.raises(VideoError, match="at most 1280 pixels"):
        read_frames(clips / "c0.mp4")


@pytest.mark.parametrize(
    ("columns", "table", "words"),
    [
        (["video", "title"], [["a", "b"]], "`prompt` or `caption` or `text`"),
        (["name", "prompt"], [["a", "b"]], "`videopath`"),
        (["videopath", "prompt"], [["a", ""]], "`prompt` in row 1"),
        (["videopath", "prompt", "k"], [["a", "b", "-1"]], "`k` in row 1"),
        (["videopath", "prompt", "k"], [["a", "b", "0"], ["c", "b", "0"]], "row 2 is the second"),
        (["videopath", "prompt"], [], "it is empty"),
    ],
)
def test_a_bad_manifest_is_refused(
    workplace: Path, columns: list[str], table: list[list[object]], words: str
) -> None:
    manifest = write_manifest(Path("m.csv"), columns, table)
    with pytest.raises(ConfigError) as error:
        create("generator", f"files:manifest={manifest}")
    assert words in str(error.value)


def test_an_unknown_model_lists_those_there_are(workplace: Path) -> None:
    write_manifest(Path("m.csv"), ["video", "prompt", "model"], [["a", "b", "lavie"]])
    with pytest.raises(ConfigError, match=r"got 'lavi': `lavie`"):
        create("generator", "files:manifest=m.csv,model=lavi")


def test_clips_may_be_absent(workplace: Path) -> None:
    write_manifest(Path("m.csv"), ["video_url", "caption"], [["https://x/a.mp4", "b"]])
    files = create("generator", "files:manifest=m.csv,clips=absent")
    assert files.generate([ClipRequest("b", 0)]) == [NoVideo("https://x/a.mp4")]


# facts/paper.md 2.5: human SA / PC / joint, per cent, of the VideoPhy repository's README. The two
# values that its README prints with fewer digits are compared at those.
PUBLISHED = {
    "CogVideoX-5B": (63.3, 53, 39.6),
    "pika": (41.1, 36.5, 19.7),
    "vc2": (48.5, 34.6, 19.0),
    "CogVideoX-2B": (47.2, 34.1, 18.6),
    "lavie": (48.7, 28.0, 15.7),
    "Dream Machine (LumaAI)": (61.9, 21.8, 13.6),
    "opensora": (18.0, 23.5, 4.9),
}


@pytest.mark.slow
def test_videophy_labels_reproduce_the_published_leaderboard(workplace: Path, shared: Path) -> None:
    labels = shared / "data" / "videophy1" / "human_labels.csv"
    config = run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=(f"files:manifest={labels},model=*,clips=absent,missing=fail",),
        judges=(f"labels:file={labels}",),
    )
    outcome = do_run(config, Path("out"), Path("cache"))
    cells = {cell.generator: leaderboard_row(cell) for cell in outcome.cells}
    assert len(cells) == 10
    assert sum(cell["n_scored"] for cell in cells.values()) == 3360
    for name, published in PUBLISHED.items():
        for measure, value in zip(("sa", "pc", "joint"), published, strict=True):
            assert 100 * cells[name][measure] == pytest.approx(value, abs=0.15)


def test_videophy2_clips_with_published_scores(workplace: Path, shared: Path) -> None:
    data = shared / "data" / "videophy2"
    config = run_config(
        None,
        seeds=1,
        refiners=("identity",),
        generators=(f"files:manifest={data / 'sa_pc.csv'},root={data / 'clips'}",),
        judges=(f"labels:sa={data / 'output_sa.csv'},pc={data / 'output_pc.csv'}",),
    )
    (cell,) = do_run(config, Path("out"), Path("cache")).cells
    assert cell.counts == {"planned": 10, "scored": 10, "unscored": 0, "failed": 0}
    assert cell.rates["sa"].rate == cell.rates["pc"].rate == 1.0
