"""The Python functions, on the embedded world."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tools.places import ROOT

import phybench
from phybench import Failure, PluginInfo, Refinement
from phybench.errors import ConfigError
from phybench.running.results import RunResults

TEXTS = ["a red ball rolls down a ramp", "a blue cube falls on a table"]


class Shouting:
    """A refiner of a notebook; it fails where it is told to."""

    info = PluginInfo(name="shouting", revision="1", licence="none", fingerprint={"of": "test_api"})

    def refine(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Refinement | Failure]:
        return [
            Failure("refusal", "Not this one.") if "cube" in text else Refinement(text.upper())
            for text in prompts
        ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    folder = tmp_path_factory.mktemp("api")
    return phybench.run(
        refiners=["identity", "template", Shouting()],
        generators="tabletop",
        judges=["kinematic"],
        prompts=TEXTS,
        seeds=2,
        executor="local",
        workers=1,
        quiet=True,
        plots=False,
        output=folder / "run",
        cache=folder / "cache",
    )


def test_importing_stays_light() -> None:
    code = (
        "import sys, phybench\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'scipy', 'av', 'yaml', 'rich'}\n"
        "phybench.run, phybench.compare, phybench.refiner\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_leaderboard_is_that_of_the_file(results: RunResults) -> None:
    with (results.folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    frame = results.leaderboard
    assert list(frame.columns) == list(rows[0])
    assert list(frame["refiner"]) == [row["refiner"] for row in rows]
    assert list(frame["sa"]) == [float(row["sa"]) for row in rows]


def test_frames_have_a_row_for_each_item_score_and_failure(results: RunResults) -> None:
    assert len(results.items) == results.size == 12
    failed = results.items[results.items["status"] == "failed"]
    assert set(failed["refiner"]) == {"shouting"}
    assert len(results.scores) == 10
    assert set(results.scores["status"]) == {"scored"}
    assert list(results.failures["kind"]) == ["refusal"] * 2
    assert list(results.failures["stage"]) == ["refine"] * 2


def test_a_plugin_object_is_called_in_this_process(results: RunResults) -> None:
    texts = results.items.query("refiner == 'shouting' and status == 'ok'")["text"]
    assert set(texts) == {TEXTS[0].upper()}


def test_an_object_that_is_no_such_plugin_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected a judge with `info` and `score\(\)`"):
        phybench.plan(judges=Shouting(), limit=1)


def test_a_run_is_opened_and_shown(results: RunResults) -> None:
    opened = phybench.open_run(results.folder)
    assert repr(opened) == repr(results)
    assert "template × tabletop, kinematic" in repr(opened)
    assert "<table>" in opened._repr_html_()
    (first, _) = opened.data.prompt_ids
    shown = opened.show(first)
    assert TEXTS[0].upper() in repr(shown)
    assert "kinematic: SA" in repr(shown)
    assert shown._repr_html_().count("<video") == 6
    with pytest.raises(ConfigError, match="prompt id of this run"):
        opened.show("absent")


def test_arms_are_compared(results: RunResults) -> None:
    found = results.compare("identity")
    assert len(found.frame) == 2 * 5
    assert repr(found) == repr(phybench.compare(results.folder, baseline="identity"))
    assert len(found.sentences) == 2
    assert len(found.plot().axes[0].containers) >= 3
    with pytest.raises(ConfigError, match="`level` to lie between 0 and 1"):
        results.compare(level=2)


def test_compare_is_a_function_also_after_its_package_is_imported() -> None:
    code = (
        "import phybench, phybench.compare.pairing as pairing\n"
        "from phybench import compare\n"
        "assert pairing.pair_runs and compare is phybench.compare\n"
        "try: phybench.compare()\n"
        "except phybench.ConfigError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "at least one run" in done.stdout


def test_a_page_is_written(results: RunResults, tmp_path: Path) -> None:
    page = results.report(tmp_path / "page.html", clips="none")
    assert TEXTS[0] in page.read_text()


def test_clips_are_scored_as_a_run_scores_them(results: RunResults, tmp_path: Path) -> None:
    from phybench.plugins.registry import create

    rows = results.scores.query("refiner == 'identity'")
    table = tmp_path / "clips.csv"
    rows[["clip", "prompt"]].rename(columns={"clip": "videopath"}).to_csv(table, index=False)
    judges = ["kinematic:as=spec", create("judge", "kinematic")]
    scored = phybench.score(table, judges=judges, cache=tmp_path / "cache")
    frame = scored.frame
    for judge in ("spec", "kinematic"):
        assert list(frame[frame["judge"] == judge]["sa"]) == list(rows["sa"])
    assert "kinematic: 4 scored" in repr(scored)


def test_plan_counts_and_does_nothing(tmp_path: Path) -> None:
    found = phybench.plan(prompts=TEXTS, seeds=1, refiners="identity", cache=tmp_path)
    assert found.items == 2
    assert "2 items" in str(found)


def test_texts_are_refined() -> None:
    (refined,) = phybench.refine("a ball rolls")
    assert isinstance(refined, Refinement)
    assert phybench.refiner("template")("a ball rolls") == refined.text
    (loud, refused) = phybench.refine(["a ball", "a cube"], Shouting())
    assert loud.text == "A BALL"
    assert isinstance(refused, Failure)


@pytest.mark.slow
def test_the_readme_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "README.md").read_text()
    section = page.split("## From Python", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    names = {"pipe": str.upper}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "page.html").is_file()
    assert names["video"].startswith("A BALL ROLLS")
    capsys.readouterr()
