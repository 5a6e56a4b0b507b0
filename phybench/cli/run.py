"""``phybench run`` and ``phybench plan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phybench.cli.console import emit_json, note, stdout
from phybench.cli.options import with_run_options

if TYPE_CHECKING:
    from phybench.planning.config import RunOptions
    from phybench.running.results import RunResults
    from phybench.runs.numbers import CellMetrics

SIMULATED_TITLE = "simulated world: says nothing about real models"
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


@with_run_options
def run_command(
    given: Mapping[str, Any],
    config: Path | None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan.")] = False,
    as_json: Json = False,
) -> None:
    """Evaluate refiners × generators × judges on a prompt set.

    With no arguments: the bundled simulated world, in under a minute.
    """
    options = _options(given, config)
    if dry_run:
        _show_plan(options, as_json=as_json)
        return
    results = _done(options)
    if as_json:
        from phybench.machine.files import read_json
        from phybench.runs.folder import RESULTS

        emit_json({"folder": str(results.folder), **read_json(results.folder / RESULTS)})
    else:
        show_cells(results.cells, simulated=results.simulated)
        stdout().print(f"Written to {results.folder}", highlight=False, soft_wrap=True)
    _end_with_failures(results)


@with_run_options
def plan_command(given: Mapping[str, Any], config: Path | None, as_json: Json = False) -> None:
    """Say what a run would do and cost, and do nothing."""
    _show_plan(_options(given, config), as_json=as_json)


def _options(given: Mapping[str, Any], config: Path | None) -> RunOptions:
    from phybench.planning.config import run_options

    return run_options(given, config)


def _done(options: RunOptions) -> RunResults:
    from phybench.api import carry_out

    try:
        results = carry_out(options, tell=note)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not options.quiet:
        note(f"{results.size} items in {results.seconds:.1f} s.")
    return results


def _show_plan(options: RunOptions, *, as_json: bool) -> None:
    from phybench.api import estimate_cost

    found = estimate_cost(options, tell=note)
    if as_json:
        emit_json(found.to_json())
    else:
        typer.echo(found.to_text())


def _end_with_failures(results: RunResults) -> None:
    from phybench.runs.cells import failure_reasons

    failed = sum(cell.counts["failed"] for cell in results.cells)
    if not failed:
        return
    note(f"{failed} judgements failed; run the same command to retry what may work:")
    for reason, count in failure_reasons(results.folder, most=3):
        note(f"  {count} × {reason}")
    raise typer.Exit(1)


def show_cells(cells: Sequence[CellMetrics], *, simulated: bool) -> None:
    """Print a leaderboard to stdout."""
    from rich.table import Table

    from phybench.publish.leaderboard import ordered, percent, rank_text
    from phybench.runs.numbers import MEASURES

    title = SIMULATED_TITLE if simulated else None
    table = Table(title=title)
    for column in ("rank", "refiner", "generator", "judge"):
        table.add_column(column)
    for column in ("SA %", "PC %", "joint %", "scored", "failed"):
        table.add_column(column, justify="right", no_wrap=True)
    for cell in ordered(cells):
        table.add_row(
            rank_text(cell),
            *(_literal(name) for name in (cell.refiner, cell.generator, cell.judge)),
            *(percent(cell, measure).replace("[", r"\[") for measure in MEASURES),
            f"{cell.counts['scored']}/{cell.counts['planned']}",
            str(cell.counts["failed"]),
        )
    console = stdout()
    console.print(table)
    for cell in ordered(cells):
        console.print(cell.signature, style="dim", highlight=False, soft_wrap=True, markup=False)


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
