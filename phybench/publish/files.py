"""The files that a run's rows are turned into when it is done."""

from __future__ import annotations

import json
from pathlib import Path

from phybench.machine.files import write_text
from phybench.publish.by_truncation import split_by_truncation
from phybench.publish.leaderboard import leaderboard_csv, leaderboard_markdown, to_results
from phybench.runs.cells import load_run
from phybench.runs.folder import RESULTS, SCHEMA_VERSION
from phybench.runs.numbers import CellMetrics, measure
from phybench.runs.refinements import describe_refinements


def publish(folder: Path, *, plots: bool = True) -> tuple[CellMetrics, ...]:
    """Derive a run's results, leaderboards and plots from its rows.

    Raises:
        ConfigError: If the folder holds no run.
        StorageError: If the disk refuses a write.
    """
    run = load_run(folder)
    cells = measure(run)
    simulated = bool(run.header["simulated"])
    if plots:
        from phybench.publish.plots import draw_plots

        draw_plots(run, cells, folder / "plots", simulated=simulated)
    write_text(folder / "leaderboard.csv", leaderboard_csv(cells))
    write_text(folder / "leaderboard.md", leaderboard_markdown(cells, simulated=simulated))
    with_header = {
        "schema_version": SCHEMA_VERSION,
        "simulated": simulated,
        "cells": to_results(cells),
        "refinements": describe_refinements(folder),
    }
    parts = split_by_truncation(run)
    if parts:
        with_header["by_truncated"] = [part.row() for part in parts]
    write_text(folder / RESULTS, json.dumps(with_header, indent=2, ensure_ascii=False) + "\n")
    return cells
