"""``phybench leaderboard``: the table of one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import emit_json, note, stdout
from phybench.cli.run import SIMULATED_TITLE, show_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phybench.publish.by_truncation import CellPart
    from phybench.runs.cells import Run


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    csv: Annotated[Path | None, typer.Option(help="Write the table as csv.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Draw the plots into this folder.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="truncated: apart for texts that the generator read whole and cut."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Print the leaderboard of runs on the same prompts, seeds and judges."""
    from phybench.machine.files import check_target, write_text
    from phybench.publish.leaderboard import leaderboard_csv, leaderboard_markdown, to_results
    from phybench.runs.cells import load_run
    from phybench.runs.merging import merge_runs
    from phybench.runs.numbers import measure

    for target in filter(None, (csv, markdown)):
        check_target(target)
    loaded = [load_run(folder) for folder in runs]
    run = merge_runs(loaded)
    simulated = bool(run.header["simulated"])
    if by is not None:
        _split(by, loaded, csv, markdown, plots, as_json=as_json, simulated=simulated)
        return
    cells = measure(run)
    if csv is not None:
        write_text(csv, leaderboard_csv(cells))
    if markdown is not None:
        write_text(markdown, leaderboard_markdown(cells, simulated=simulated))
    if plots is not None:
        from phybench.publish.plots import draw_plots

        for path in draw_plots(run, cells, plots, simulated=simulated):
            note(f"Written: {path}")
    if as_json:
        emit_json({"simulated": simulated, "cells": to_results(cells)})
    else:
        show_cells(cells, simulated=simulated)


def _split(
    by: str,
    runs: Sequence[Run],
    csv: Path | None,
    markdown: Path | None,
    plots: Path | None,
    *,
    as_json: bool,
    simulated: bool,
) -> None:
    from phybench.errors import ConfigError, UnknownNameError
    from phybench.machine.files import write_text
    from phybench.publish.by_truncation import known_parts, parts_csv, parts_markdown

    if by != "truncated":
        raise UnknownNameError("value of `--by`", by, ["truncated"])
    if plots is not None:
        raise ConfigError("Expected `--by` without `--plots`: there are no plots of parts.")
    parts = known_parts(runs)
    if csv is not None:
        write_text(csv, parts_csv(parts))
    if markdown is not None:
        write_text(markdown, parts_markdown(parts, simulated=simulated))
    if as_json:
        emit_json({"simulated": simulated, "parts": [part.row() for part in parts]})
    else:
        _show_parts(parts, simulated=simulated)


def _show_parts(parts: Sequence[CellPart], *, simulated: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from phybench.publish.by_truncation import columns_of

    title = SIMULATED_TITLE if simulated else None
    table = Table("refiner", "generator", "judge", "text", title=title)
    for column in ("SA %", "PC %", "joint %", "scored", "failed"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in parts:
        table.add_row(*map(escape, columns_of(part)))
    stdout().print(table)
