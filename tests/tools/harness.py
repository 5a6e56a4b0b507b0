"""Small helpers of the harness tests: a run in one call, plugins made for a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from phybench.planning.config import RunConfig, specs
from phybench.planning.plan import build_plan
from phybench.running.runner import RunOutcome, execute
from phybench.units.cache import Cache
from phybench.workers.choice import make_executor

ARMS: dict[str, Any] = {
    "refiners": ("identity", "shout"),
    "generators": ("bar",),
    "judges": ("brightness",),
}


def write_prompts(folder: Path, count: int) -> Path:
    path = folder / "prompts.txt"
    path.write_text("".join(f"a ball number {i} rolls{' on' * (i % 5)}\n" for i in range(count)))
    return path


def run_config(prompts: Path | None, **changes: Any) -> RunConfig:
    given = {**ARMS, "prompts": str(prompts) if prompts else "", "seeds": 2, **changes}
    for name in ("refiners", "generators", "judges"):
        given[name] = specs(given[name])
    return RunConfig(**given)


def do_run(
    config: RunConfig,
    folder: Path,
    cache: Path,
    executor: str = "serial",
    workers: int | None = None,
    *,
    plots: bool = False,
) -> RunOutcome:
    with Cache(cache) as units:
        return execute(
            build_plan(config),
            folder,
            cache=units,
            executor=make_executor(executor, units.folder / "clips", workers),
            progress=lambda counts: None,
            plots=plots,
        )


def phybench(
    *arguments: str, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line, as a person starts it."""
    return subprocess.run(
        [sys.executable, "-m", "phybench", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(env or {})},
    )


def numbers(outcome: RunOutcome) -> list[Any]:
    """Everything of an outcome that must not depend on how it was computed."""
    from phybench.publish.leaderboard import leaderboard_row

    return [leaderboard_row(cell) for cell in outcome.cells]


def rows(path: Path) -> list[dict[str, Any]]:
    from phybench.machine.files import read_jsonl

    return list(read_jsonl(path))


def by_item(found: Sequence[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Last row of each item and judge."""
    return {(row["index"], row.get("judge")): row for row in found}


def register(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str, entry_point: str
) -> None:
    """Install a module with one plugin, for this process and those that it starts."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_point)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def assert_only_the_deadly_prompt_failed(outcome: RunOutcome, folder: Path) -> None:
    """After a run of 12 prompts and two arms with the judge ``deadly``."""
    assert [cell.counts["failed"] for cell in outcome.cells] == [2, 2]
    assert [cell.counts["scored"] for cell in outcome.cells] == [22, 22]
    failed = [row for row in rows(folder / "scores.jsonl") if row["status"] == "failed"]
    assert {row["error"]["kind"] for row in failed} == {"worker-died"}
    assert {row["prompt"].split()[3] for row in failed} == {"3"}
