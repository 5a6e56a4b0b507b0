"""``phybench export``: a run in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


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
