"""The commands that read and write tables: `leaderboard` and `score`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools.cli_calls import run
from tools.clip_files import write_clip
from tools.harness import phybench, write_prompts


@pytest.mark.slow
def test_leaderboard_joins_runs_of_one_kind(examples: Path) -> None:
    write_prompts(examples, 3)
    run("-o", "both")
    for refiner in ("identity", "shout"):
        done = phybench(
            *("run", "-r", refiner, "-g", "bar", "-j", "brightness", "-p", "prompts.txt"),
            *("-o", refiner, "--executor", "serial", "--no-plots"),
        )
        assert done.returncode == 0, done.stderr
    joined = phybench("leaderboard", "identity", "shout", "--csv", "joined.csv", "--plots", "p")
    assert joined.returncode == 0, joined.stderr
    assert sorted(Path("joined.csv").read_text().splitlines()) == sorted(
        Path("both/leaderboard.csv").read_text().splitlines()
    )
    assert Path("p/brightness-difference.png").stat().st_size > 1000


@pytest.mark.slow
def test_leaderboard_refuses_to_mix_what_differs(examples: Path) -> None:
    write_prompts(examples, 3)
    run("-o", "one")
    twice = phybench("leaderboard", "one", "one")
    assert (twice.returncode, "every arm once" in twice.stderr) == (2, True)
    run("-o", "seeded", "--seed", "1")
    seeded = phybench("leaderboard", "one", "seeded")
    assert (seeded.returncode, "the same seed" in seeded.stderr) == (2, True)
    run("-o", "fewer", "--limit", "2")
    fewer = phybench("leaderboard", "one", "fewer")
    assert (fewer.returncode, "same prompts" in fewer.stderr) == (2, True)
    header = json.loads(Path("seeded/run.json").read_text())
    header["seed"] = 0
    header["plugins"]["judge"][0]["fingerprint_sha256"] = "0" * 64
    Path("seeded/run.json").write_text(json.dumps(header))
    judged = phybench("leaderboard", "one", "seeded")
    assert judged.returncode == 2
    assert "every arm once" in judged.stderr or "cannot be compared" in judged.stderr
    assert "no run.json" in phybench("leaderboard", "cache").stderr


def test_score_adds_columns_to_the_table(examples: Path) -> None:
    for number in range(2):
        write_clip(examples / f"c{number}.mp4", value=100 * number)
    Path("clips.csv").write_text("videopath,caption,note\nc0.mp4,a ball,=1+1\nc1.mp4,a cup,x\n")
    done = phybench("score", "-j", "brightness", "--clips", "clips.csv", "-o", "scores.csv")
    assert done.returncode == 0, done.stderr
    import csv

    with Path("scores.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        *("videopath", "caption", "note", "judge", "sa", "pc", "joint", "status", "reply")
    ]
    assert table[0]["note"] == "'=1+1", "no cell may run in a spreadsheet"
    assert [row["sa"] for row in table] == ["2", "1"]
    assert {row["status"] for row in table} == {"scored"}
    assert "brightness: 2 scored" in done.stderr
    again = phybench("score", "-j", "brightness", "--clips", "clips.csv")
    assert again.stdout == Path("scores.csv").read_text()


def test_score_keeps_failures_as_failures(examples: Path) -> None:
    write_clip(examples / "good.mp4")
    Path("bad.mp4").write_bytes(b"nothing")
    Path("clips.csv").write_text("videopath,caption\ngood.mp4,a ball\nbad.mp4,a cup\n")
    done = phybench("score", "-j", "brightness", "--clips", "clips.csv")
    assert done.returncode == 1
    assert done.stdout.splitlines()[2].startswith("bad.mp4,a cup,brightness,,,,failed,")


def test_score_of_a_folder_reads_prompts_beside_the_clips(examples: Path) -> None:
    folder = examples / "made"
    folder.mkdir()
    write_clip(folder / "a.mp4")
    refused = phybench("score", "-j", "brightness", "--clips", "made")
    assert (refused.returncode, "'a.mp4'" in refused.stderr) == (2, True)
    (folder / "a.txt").write_text("a ball")
    assert (
        "a.mp4,a ball,brightness" in phybench("score", "-j", "brightness", "--clips", "made").stdout
    )


@pytest.mark.parametrize("target", ["folder", "absent/scores.csv"])
def test_a_table_that_cannot_be_written_is_refused_before_work(examples: Path, target: str) -> None:
    Path("folder").mkdir()
    write_clip(examples / "a.mp4")
    Path("clips.csv").write_text("videopath,caption\na.mp4,a ball\n")
    scored = phybench("score", "-j", "brightness", "--clips", "clips.csv", "-o", target)
    listed = phybench("leaderboard", "no-run", "--csv", target)
    for done in (scored, listed):
        assert done.returncode == 2
        assert f"'{target}'" in done.stderr
    assert "1/1" not in scored.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("videopath,caption\ngone.mp4,x\n", "1 are not there"),
        ("videopath,title\nx,y\n", "`prompt` or `caption` or `text`"),
        ("caption\nx\n", "`videopath`"),
    ],
)
def test_score_refuses_a_bad_table(examples: Path, text: str, words: str) -> None:
    Path("clips.csv").write_text(text)
    done = phybench("score", "-j", "brightness", "--clips", "clips.csv")
    assert done.returncode == 2
    assert words in done.stderr
