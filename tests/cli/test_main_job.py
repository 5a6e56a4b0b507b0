"""The main job on the embedded world, as the README starts it."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from tools.harness import do_run, numbers, phybench, rows, run_config
from typer.testing import CliRunner

from phybench.cli.main import app

TABLETOP = {
    "refiners": ("identity", "template"),
    "generators": ("tabletop",),
    "judges": ("kinematic", "oracle"),
}
PROMPTS = Path("tabletop-test")


@pytest.mark.slow
def test_run_without_arguments_does_the_main_job(workplace: Path) -> None:
    done = phybench("run", "--limit", "6")
    assert done.returncode == 0, done.stderr
    (folder,) = Path("results/runs").iterdir()
    with (folder / "leaderboard.csv").open() as file:
        table = list(csv.DictReader(file))
    trained = {"phyprompt-mini"} if find_spec("torch") and find_spec("transformers") else set()
    assert {row["refiner"] for row in table} == {"identity", "template"} | trained
    assert {row["n_planned"] for row in table} == {"12"}
    assert "simulated" in table[0]["signature"]
    assert "simulated world" in done.stdout
    assert "**Simulated.**" in (folder / "leaderboard.md").read_text()
    assert len(list((folder / "plots").glob("*.png"))) == 3
    again = phybench("run", "--limit", "6")
    assert again.stdout == done.stdout
    assert "judge" not in again.stderr, "nothing is done again"


def default_refiners(*more: str) -> tuple[set[str], str]:
    done = CliRunner().invoke(app, ["plan", "--json", "--limit", "2", *more])
    assert done.exit_code == 0, done.output
    stages = json.loads(done.stdout)["stages"]
    return {stage["name"] for stage in stages if stage["kind"] == "refiner"}, done.stderr


def test_the_default_does_without_torch_and_says_what_it_leaves_out(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "phybench.refiners.language_model.local_model.find_spec", lambda module: None
    )
    refiners, words = default_refiners()
    assert refiners == {"identity", "template"}
    assert "phyprompt-mini" in words
    assert "pip install 'phybench[local]'" in words


def test_the_model_of_the_simulated_world_is_no_default_elsewhere(workplace: Path) -> None:
    refiners, _ = default_refiners(
        "-g", "tabletop", "-g", "command:run=true --prompt={prompt} --out={output},version=1"
    )
    assert refiners == {"identity", "template"}


@pytest.mark.slow
def test_workers_and_order_change_no_byte_of_a_clip(workplace: Path) -> None:
    def clips(folder: str) -> dict:
        return {
            (row["prompt_id"], row["refiner"], row["k"]): row["clip"]["sha256"]
            for row in rows(Path(folder) / "items.jsonl")
        }

    config = run_config(PROMPTS, **TABLETOP, limit=6)
    serial = do_run(config, Path("serial"), Path("c0"))
    for workers in (1, 3):
        other = do_run(config, Path(f"local{workers}"), Path(f"c{workers}"), "local", workers)
        assert numbers(other) == numbers(serial)
        assert clips(f"local{workers}") == clips("serial")
    turned = {**TABLETOP, "refiners": TABLETOP["refiners"][::-1]}
    do_run(run_config(PROMPTS, **turned, limit=6), Path("turned"), Path("c9"))
    assert clips("turned") == clips("serial")


@pytest.mark.slow
def test_the_world_has_room_for_refiners(workplace: Path) -> None:
    """Bounds of the design for the truth: identity's joint in 0.2..0.5, template improves PC."""
    outcome = do_run(
        run_config(PROMPTS, **{**TABLETOP, "judges": ("oracle",)}, limit=100),
        Path("out"),
        Path("c"),
    )
    cells = {cell.refiner: cell for cell in outcome.cells}
    assert 0.2 <= cells["identity"].rates["joint"].rate <= 0.5
    gained = cells["template"].rates["pc"].rate - cells["identity"].rates["pc"].rate
    assert gained >= 0.1
    lost = cells["identity"].rates["sa"].rate - cells["template"].rates["sa"].rate
    assert lost <= 0.05


@pytest.mark.slow
def test_settings_reach_the_clips(workplace: Path) -> None:
    done = phybench(
        *("run", "-r", "identity", "-j", "oracle", "--limit", "2", "--seeds", "1", "-o", "out"),
        *("--fps", "16", "--width", "96", "--height", "64", "--frames", "9", "--no-plots"),
    )
    assert done.returncode == 0, done.stderr
    for row in rows(Path("out/items.jsonl")):
        clip = row["clip"]
        assert (clip["fps"], clip["width"], clip["height"], clip["frames"]) == (16, 96, 64, 9)
    assert "fps:16" in json.loads(Path("out/results.json").read_text())["cells"][0]["signature"]
