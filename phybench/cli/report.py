"""``phybench report`` and ``phybench export``: what people and other tools read of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from phybench.cli.console import note


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The page (default: RUN/report.html).")
    ] = None,
    clips: Annotated[
        Literal["beside", "embed", "none"],
        typer.Option(help="Clips in a folder beside the page, inside it, or left out."),
    ] = "beside",
    baseline: Annotated[str, typer.Option(help="What the arms are compared with.")] = "identity",
) -> None:
    """Write a browsable HTML page of a run; it needs no network."""
    from phybench.api import open_run

    target = open_run(run).report(output, clips=clips, baseline=baseline)
    note(f"Written: {target}")


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format_: Annotated[
        Literal["inspect", "lm-eval", "vbench", "failures", "parquet"],
        typer.Option("--format", help="What to write."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder (default: RUN/export/FORMAT).")
    ] = None,
) -> None:
    """Write inspect or lm-eval logs, VBench results, parquet, or a data set of failures."""
    from phybench.publish.export.files import export_run as write
    from phybench.runs.cells import load_run

    for path in write(load_run(run), format_, output or run / "export" / format_):
        typer.echo(str(path))
