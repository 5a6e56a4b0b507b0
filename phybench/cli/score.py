"""``phybench score``: judge clips that lie on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import note
from phybench.cli.options import CacheFolder

if TYPE_CHECKING:
    from phybench.running.clip_table import ScoreTable


def score_command(
    judge: Annotated[
        list[str] | None, typer.Option("-j", "--judge", help="Judge SPEC; repeat for several.")
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(help="csv with videopath,caption[,rule], or a folder of clips with .txt."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="csv to write; default: stdout.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that relative clip paths start from.")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(help="Show clips to judges as, e.g., fps=4,seconds=6,size=720x480."),
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Who calls the judges: serial, local or ray.")
    ] = "serial",
    workers: Annotated[int | None, typer.Option(help="Processes per judge (local, ray).")] = None,
    cache: CacheFolder = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Score clips; writes the input's columns plus judge, sa, pc, joint, status and reply."""
    from phybench.api import score
    from phybench.errors import ConfigError
    from phybench.machine.files import check_target, write_text

    if not judge or clips is None:
        raise ConfigError("Expected at least one judge (-j SPEC) and clips (--clips CSV or DIR).")
    if output is not None:
        check_target(output)
    progress = _silent if quiet else _tell
    scored = score(
        clips,
        judge,
        root=root,
        view=view,
        executor=executor,
        workers=workers,
        cache=cache,
        progress=progress,
        tell=note,
    ).table
    if output is None:
        typer.echo(scored.to_csv(), nl=False)
    else:
        write_text(output, scored.to_csv())
    _summary(scored)
    if scored.failed:
        raise typer.Exit(1)


def _tell(judge: str, done: int, total: int) -> None:
    note(f"{judge}: {done}/{total}")


def _silent(judge: str, done: int, total: int) -> None:
    """Show nothing."""


def _summary(scored: ScoreTable) -> None:
    for judge, counts in scored.counts().items():
        note(f"{judge}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
