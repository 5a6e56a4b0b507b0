"""A table of clips goes through the queue of a run: workers, cache, and a death costs a clip."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tools.clip_files import write_clip

import phybench
from phybench.errors import ConfigError


def table_of(folder: Path, texts: list[str]) -> Path:
    rows = []
    for number, text in enumerate(texts):
        write_clip(folder / f"{number}.mp4", 10 + number)
        rows.append({"videopath": f"{number}.mp4", "caption": text})
    path = folder / "clips.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["videopath", "caption"])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_every_executor_gives_the_same_scores(examples: Path, executor: str) -> None:
    path = table_of(examples, [f"clip number {number}" for number in range(5)])
    found = phybench.score(path, ["brightness"], executor=executor, cache=examples / executor)
    alone = phybench.score(path, ["brightness"], cache=examples / "alone")
    assert found.table == alone.table
    assert found.table.counts()["brightness"] == {"scored": 5}


def test_a_judge_that_kills_its_worker_loses_that_clip_only(deadly_judge: Path) -> None:
    path = table_of(deadly_judge, [f"clip number {number}" for number in range(5)])
    found = phybench.score(path, ["deadly"], executor="local", workers=2)
    assert [row["status"] for row in found.table.rows].count("scored") == 4
    (lost,) = [row for row in found.table.rows if row["status"] == "failed"]
    assert lost["caption"] == "clip number 3"
    assert "worker-died" in lost["reply"]


def test_equal_clips_are_judged_once_and_known_ones_not_again(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table_of(examples, ["the same", "another"])
    text = path.read_text()
    path.write_text(text + text.splitlines()[1] + "\n")
    first = phybench.score(path, ["brightness"])
    monkeypatch.setattr("phybench_example.Brightness._score", None)
    again = phybench.score(path, ["brightness"])
    assert again.table == first.table
    assert len(first.table.rows) == 3


def test_workers_where_there_are_none_are_refused(examples: Path) -> None:
    path = table_of(examples, ["a clip"])
    with pytest.raises(ConfigError, match="`workers` only with `local` or `ray`"):
        phybench.score(path, ["brightness"], workers=2)
