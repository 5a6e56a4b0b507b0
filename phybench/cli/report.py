"""``phybench report``: one offline page per run."""

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
