from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tools.made_runs import make_run
from typer.testing import CliRunner

from phybench.cli.report import export as export_command
from phybench.publish.export.files import Format, export_run
from phybench.publish.export.rows import slugs
from phybench.runs.cells import Run, load_run

EXPORT = typer.Typer()
EXPORT.command()(export_command)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    sa = np.array([[5.0, 4], [2, 5], [np.nan, -1], [5, -2]])
    pc = np.array([[5.0, 4], [5, 1], [np.nan, -1], [4, -2]])
    arms = {("identity", "tabletop"): (sa, pc), ("a/../b", "tabletop"): (sa, pc)}
    folder = make_run(tmp_path / "run", arms, details={"law": "Gravity"})
    header = json.loads((folder / "run.json").read_text())
    header["created"] = "2026-03-04T05:06:07+00:00"
    (folder / "run.json").write_text(json.dumps(header))
    return load_run(folder)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_inspect_logs_have_every_item_and_no_score_for_failures(run: Run, tmp_path: Path) -> None:
    paths = export_run(run, "inspect", tmp_path / "out")
    assert len(paths) == 2
    log = read(paths[0])
    assert [(sample["id"], sample["epoch"]) for sample in log["samples"]][:2] == [
        ("p0", 1),
        ("p1", 1),
    ]
    assert len(log["samples"]) == 8
    joint = log["results"]["scores"][0]
    assert joint["metrics"]["accuracy"]["value"] == pytest.approx(3 / 5)
    assert (joint["scored_samples"], joint["unscored_samples"]) == (5, 3)
    failed = [sample for sample in log["samples"] if "error" in sample]
    assert len(failed) == 2
    assert all(not sample["scores"] for sample in failed)


def test_inspect_reads_its_logs_back(run: Run, tmp_path: Path) -> None:
    inspect_log = pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed")
    path = export_run(run, "inspect", tmp_path / "out")[0]
    log = inspect_log.read_eval_log(str(path))
    assert log.eval.model == "phybench/identity+tabletop"
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(3 / 5)
    assert log.samples[0].scores["sa"].value == 5


def test_lm_eval_results_have_rates_and_errors(run: Run, tmp_path: Path) -> None:
    paths = export_run(run, "lm-eval", tmp_path / "out")
    results = [path for path in paths if path.name.startswith("results_")]
    assert {path.parent.name for path in results} == {"identity__tabletop", "a-..-b__tabletop"}
    found = read(results[0])["results"]["phybench_kinematic"]
    assert found["joint,none"] == pytest.approx(3 / 5)
    assert found["joint_stderr,none"] > 0
    samples = next(path for path in paths if path.name.startswith("samples_"))
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == 5
    assert rows[0]["filtered_resps"] == ["a ball 0 falls"]


def test_lm_eval_prints_its_results(run: Run, tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm-eval is not installed")
    path = export_run(run, "lm-eval", tmp_path / "out")[0]
    assert "phybench_kinematic" in utils.make_table(read(path))


def test_vbench_results_average_the_scored_clips(run: Run, tmp_path: Path) -> None:
    found = read(export_run(run, "vbench", tmp_path / "out")[0])
    mean, videos = found["semantic_adherence"]
    assert mean == pytest.approx((5 + 4 + 2 + 5 + 5) / 5)
    assert len(videos) == 5
    assert set(found) == {"semantic_adherence", "physical_commonsense", "joint"}


def test_failures_are_judged_clips_without_success(run: Run, tmp_path: Path) -> None:
    (path,) = export_run(run, "failures", tmp_path / "out")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["refiner"], row["prompt_id"], row["sa"], row["pc"]) for row in rows[:2]] == [
        ("identity", "p1", 2, 5),
        ("identity", "p1", 5, 1),
    ]
    assert len(rows) == 4
    assert rows[0]["violated"] == ["Gravity"]


def test_parquet_has_one_row_per_item_and_judge(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (path,) = export_run(run, "parquet", tmp_path / "out")
    rows = parquet.read_table(path).to_pylist()
    assert len(rows) == 16
    states = [row["status"] for row in rows]
    assert {state: states.count(state) for state in set(states)} == {
        "scored": 10,
        "unscored": 2,
        "failed": 4,
    }


@pytest.mark.parametrize("format_", ["inspect", "lm-eval", "vbench", "failures"])
def test_exporting_twice_gives_the_same_files(run: Run, tmp_path: Path, format_: Format) -> None:
    first, second = (export_run(run, format_, tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_names_become_harmless_file_names() -> None:
    found = slugs(["a/b", "a:b", "A b", "../..", "phyprompt-7b"])
    assert list(found.values()) == ["a-b", "a-b-2", "A-b-3", "unnamed", "phyprompt-7b"]


def test_command_names_the_files(run: Run) -> None:
    done = CliRunner().invoke(EXPORT, [str(run.folder), "--format", "failures"])
    assert done.exit_code == 0
    assert Path(done.stdout.strip()) == run.folder / "export" / "failures" / "failures.jsonl"
