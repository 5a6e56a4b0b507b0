"""A run's numbers apart for texts that were read whole and texts that were cut."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools.harness import do_run, phybench, run_config, write_prompts

from phybench import ClipRequest, Failure, Frames, PluginInfo
from phybench.planning.plan import build_plan
from phybench.plugins.opened import Opened
from phybench.plugins.spec import PluginSpec
from phybench.publish.by_truncation import COLUMNS, split_by_truncation
from phybench.running.runner import execute
from phybench.runs.cells import load_run
from phybench.statistics.rates import wilson
from phybench.units.cache import Cache
from phybench.workers.choice import make_executor

BUDGET = 4


class Cutter:
    """Reads four words: white for a text that fits, black for one that is cut."""

    info = PluginInfo(
        name="cutter", revision="1", licence="none", fingerprint={}, prompt_budget=BUDGET
    )

    def generate(self, requests: Sequence[ClipRequest]) -> list[Frames | Failure]:
        return [self._clip(request.text) for request in requests]

    def _clip(self, text: str) -> Frames | Failure:
        words = len(text.split())
        if words > 6:
            return Failure("refusal", "Far too long.")
        cut = words > BUDGET
        pixels = np.full((2, 16, 16, 3), 0 if cut else 255, np.uint8)
        meta = {"prompt_tokens": words, "truncated": cut}
        return Frames(pixels, 8, {} if words == 1 else meta)


PROMPTS = ["a ball", "a red ball", "a red ball falls", "one two three four five", "1 2 3 4 5 6"]


@pytest.fixture
def folder(examples: Path) -> Path:
    """Three whole texts, two cut ones, one that the generator says nothing of, one without clip."""
    Path("prompts.txt").write_text("\n".join([*PROMPTS, "ball", "1 2 3 4 5 6 7"]))
    plan = build_plan(run_config(Path("prompts.txt"), refiners=("identity",), seeds=1))
    cutter = Cutter()
    opened = Opened("generator", PluginSpec("cutter"), cutter, cutter.info)
    with Cache(Path("cache")) as units:
        execute(
            replace(plan, generators=(opened,)),
            Path("out"),
            cache=units,
            executor=make_executor("serial", units.folder / "clips"),
            progress=lambda counts: None,
            plots=False,
        )
    return Path("out")


def test_the_parts_add_up_to_the_cell(folder: Path) -> None:
    parts = {part.text: part for part in split_by_truncation(load_run(folder))}
    assert {name: dict(part.counts) for name, part in parts.items()} == {
        "whole": {"planned": 3, "scored": 3, "unscored": 0, "failed": 0},
        "truncated": {"planned": 2, "scored": 2, "unscored": 0, "failed": 0},
        "unknown": {"planned": 2, "scored": 1, "unscored": 0, "failed": 1},
    }
    assert parts["whole"].rates["pc"].rate == 1
    assert parts["truncated"].rates["pc"].rate == 0
    interval = parts["truncated"].rates["pc"].interval
    assert (interval.low, interval.high) == (wilson(0, 2).low, wilson(0, 2).high)
    assert parts["unknown"].rates["pc"].worst == 0.5


def test_results_hold_the_parts_and_the_share_that_was_cut(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    assert [row["text"] for row in results["by_truncated"]] == ["whole", "truncated", "unknown"]
    assert results["refinements"]["identity|cutter"]["truncated_share"] == pytest.approx(2 / 5)
    assert set(results["by_truncated"][0]) == set(COLUMNS)


def test_the_command_shows_and_writes_the_parts(folder: Path) -> None:
    written = ("--csv", "p.csv", "--markdown", "p.md")
    done = phybench("leaderboard", "out", "--by", "truncated", *written)
    assert done.returncode == 0, done.stderr
    assert "truncated" in done.stdout
    assert "0.0 [0.0, 65.8]" in done.stdout  # Wilson's interval of 0 of 2
    with Path("p.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["text"], row["n_scored"], row["pc"]) for row in table] == [
        ("whole", "3", "1.0"),
        ("truncated", "2", "0.0"),
        ("unknown", "1", "1.0"),
    ]
    assert "not the effect of cutting" in Path("p.md").read_text()
    found = json.loads(phybench("leaderboard", "out", "--by", "truncated", "--json").stdout)
    assert [part["n_planned"] for part in found["parts"]] == [3, 2, 2]


def test_what_cannot_be_split_says_so(examples: Path) -> None:
    do_run(run_config(write_prompts(examples, 2)), Path("out"), Path("cache"))
    assert "by_truncated" not in json.loads(Path("out/results.json").read_text())
    for arguments, words in (
        (("--by", "truncated"), "records whether it cut"),
        (("--by", "truncatd"), "Did you mean `truncated`"),
        (("--by", "truncated", "--plots", "x"), "without `--plots`"),
    ):
        done = phybench("leaderboard", "out", *arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
