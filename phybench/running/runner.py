"""One run from its config to its published files."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.digest import value_digest
from phybench.machine.environment import describe_environment
from phybench.machine.folders import cache_folder
from phybench.planning.plan import Plan, warnings
from phybench.planning.signature import signatures
from phybench.plugins.contracts import PluginInfo
from phybench.plugins.opened import Kind
from phybench.prompts.prompt_sets import group_columns
from phybench.publish.files import publish
from phybench.running.pipeline import Pipeline, Progress, StageCount
from phybench.runs.cells import finished_items, load_run, read_header
from phybench.runs.folder import RUN, SCHEMA_VERSION, RunWriter
from phybench.runs.numbers import CellMetrics, measure
from phybench.units.cache import Cache
from phybench.units.codec import plain
from phybench.units.keys import fingerprint, instrument
from phybench.workers.executor import Executor

RUNS = Path("results") / "runs"
"""Where runs go by default; beside it, ``results/`` holds what is published."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run came to.

    Args:
        folder: The run's folder.
        cells: Its numbers.
        counts: Work of this start, by stage.
        simulated: Whether the numbers are of a simulated world.
    """

    folder: Path
    cells: tuple[CellMetrics, ...]
    counts: Mapping[Kind, StageCount]
    simulated: bool

    @property
    def failures(self) -> int:
        """Judgements that failed, over all cells."""
        return sum(cell.counts["failed"] for cell in self.cells)


def default_name(plan: Plan) -> str:
    """A folder name that follows from the plan, so that the same command resumes its run."""
    arms = "-".join(opened.info.name for opened in (*plan.refiners, *plan.generators))
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{plan.prompts.name}-{arms}").strip("-.")[:60]
    return f"{words}-{value_digest(plan.identity())[:8]}"


def execute(
    plan: Plan,
    folder: Path,
    *,
    cache: Cache,
    executor: Executor,
    progress: Progress,
    plots: bool = True,
    argv: Sequence[str] | None = None,
) -> RunOutcome:
    """Do a run, or the rest of it, and publish its numbers.

    Args:
        plan: What to do.
        folder: The run's folder; a run of the same plan in it is continued.
        cache: Where finished units are found and kept.
        executor: Who calls the plugins; closed when this returns.
        progress: Called with the counts as the run goes on.
        plots: Whether to draw the plots.
        argv: The command line to record; default: this process's.

    Raises:
        ConfigError: If the folder holds a run of another plan or cannot be written.
        RunLockedError: If another process is doing this run.
        StorageError: If the disk refuses a write; the same call continues later.
    """
    try:
        # Nested refiners keep their clips and paid replies where the run keeps its own.
        with cache_folder(cache.folder), RunWriter(folder) as writer:
            header = _started(plan, folder, writer, argv or sys.argv)
            finished = finished_items(folder, header)
            pipeline = Pipeline(plan, finished.tolist(), executor, cache, writer, progress)
            pipeline.run()
            fresh = bool(pipeline.counts["refiner"].total)
            if fresh or header["status"] != "done":
                writer.write_json(RUN, {**header, "status": "done"})
                cells = publish(folder, plots=plots)
            else:
                cells = measure(load_run(folder))
            return RunOutcome(folder, cells, pipeline.counts, plan.simulated)
    finally:
        executor.close()


def _started(plan: Plan, folder: Path, writer: RunWriter, argv: Sequence[str]) -> dict[str, Any]:
    """Write or continue ``run.json``."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    start = {"at": now, "argv": list(argv)}
    if (folder / RUN).exists():
        header = read_header(folder)
        if header["identity"] != plan.identity():
            changed = _changed(header["identity"], plan.identity())
            raise ConfigError(
                f"Expected {str(folder)!r} to hold this run, but it holds one with other "
                f"{changed}. Name another folder with -o."
            )
        header["starts"] = [*header["starts"], start]
    else:
        header = {**_header(plan), "created": now, "starts": [start]}
    writer.write_json(RUN, header)
    return header


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keys = dict.fromkeys((*after, *before))
    return ", ".join(f"`{key}`" for key in keys if before.get(key) != after.get(key))


def _header(plan: Plan) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "simulated": plan.simulated,
        "identity": plan.identity(),
        "signatures": signatures(plan),
        "warnings": warnings(plan),
        "prompts": {
            "name": plan.prompts.name,
            "sha256": plan.prompts.sha256,
            "ids": [prompt.id for prompt in plan.prompts.prompts],
            "groups": group_columns(plan.prompts.prompts),
        },
        "seeds": plan.seeds,
        "seed": plan.seed,
        "settings": {
            **plain(plan.settings),
            **({"view": plan.view.options()} if plan.view else {}),
        },
        "plugins": {
            kind: [
                {
                    **_described(one.info),
                    "plugin": one.spec.name,
                    "options": dict(one.spec.options),
                    "fingerprint_sha256": (
                        instrument(one, plan.view) if kind == "judge" else fingerprint(one)
                    ),
                }
                for one in opened
            ]
            for kind, opened in plan.by_kind().items()
        },
        "environment": describe_environment(),
    }


def _described(info: PluginInfo) -> dict[str, Any]:
    return {
        **plain(info),
        "video": plain(info.video) if info.video else None,
        "scale": plain(info.scale),
    }
