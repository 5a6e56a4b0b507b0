"""``phybench leaderboard``: the table of one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phybench.commands.console import emit_json, note
from phybench.commands.run import show_cells


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    csv: Annotated[Path | None, typer.Option(help="Write the table as csv.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Draw the plots into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Print the leaderboard of runs on the same prompts, seeds and judges."""
    from phybench.leaderboard import to_csv, to_markdown, to_results
    from phybench.merging import merge_runs
    from phybench.metrics import measure
    from phybench.records import write_text
    from phybench.results import load_run

    run = merge_runs([load_run(folder) for folder in runs])
    simulated = bool(run.header["simulated"])
    cells = measure(run)
    if csv is not None:
        write_text(csv, to_csv(cells))
    if markdown is not None:
        write_text(markdown, to_markdown(cells, simulated=simulated))
    if plots is not None:
        from phybench.plots import draw_plots

        for path in draw_plots(run, cells, plots, simulated=simulated):
            note(f"Written: {path}")
    if as_json:
        emit_json({"simulated": simulated, "cells": to_results(cells)})
    else:
        show_cells(cells, simulated=simulated)
