"""``phybench score``: judge clips that lie on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import note

if TYPE_CHECKING:
    from phybench.running.clip_table import ScoreTable


def score(
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
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Cache folder (default: $PHYBENCH_CACHE).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Score clips; writes the input's columns plus judge, sa, pc, joint, status and reply."""
    from phybench.errors import ConfigError
    from phybench.machine.files import check_target, write_text
    from phybench.machine.folders import default_folder
    from phybench.running.clip_table import load_clips, score_clips
    from phybench.units.cache import Cache
    from phybench.video.common_view import parse_view

    if not judge or clips is None:
        raise ConfigError("Expected at least one judge (-j SPEC) and clips (--clips CSV or DIR).")
    shown = None if view is None else parse_view(view)
    if output is not None:
        check_target(output)
    table = load_clips(clips, root)
    if table.remark:
        note(table.remark)
    with Cache(cache or default_folder()) as units:
        scored = score_clips(table, judge, units, _silent if quiet else _tell, shown)
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
