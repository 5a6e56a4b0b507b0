"""``phybench audit``: does a judge notice broken physics?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import emit_json, note

if TYPE_CHECKING:
    from phybench.audit.audit import Audit


def audit(
    judge: Annotated[str, typer.Option("-j", "--judge", help="Judge SPEC.")],
    clips: Annotated[
        Path | None,
        typer.Option(help="csv with videopath,caption, or a folder; default: tabletop clips."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that relative clip paths start from.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of intact clips.")] = 60,
    violations: Annotated[
        int, typer.Option(help="Tabletop clips per row of its violation table (no --clips).")
    ] = 2,
    seed: Annotated[int, typer.Option(help="Seed of clips and manipulations.")] = 0,
    min_preference: Annotated[
        float | None, typer.Option(help="Exit 1 if a preference is lower.")
    ] = None,
    min_invariance: Annotated[
        float | None, typer.Option(help="Exit 1 if an invariance is lower.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Show a judge intact and broken clips, and changes that should not matter."""
    from phybench.audit.audit import audit_json, shortfalls
    from phybench.audit.audit import audit_judge as run_audit
    from phybench.audit.clips import from_table, from_tabletop, tabletop_violations
    from phybench.errors import ConfigError
    from phybench.plugins.spec import parse_spec
    from phybench.workers.opening import open_alone

    if limit < 2 or violations < 0:
        raise ConfigError(f"Expected --limit ≥ 2 and --violations ≥ 0, not {limit}, {violations}.")
    opened = open_alone("judge", parse_spec(judge))
    intact = from_table(clips, root, limit) if clips else from_tabletop(limit, seed)
    pairs = () if clips else tabletop_violations(violations, seed)
    found = run_audit(opened, intact, pairs, seed=seed, progress=note)
    below = shortfalls(found, min_preference or 0.0, min_invariance or 0.0)
    if as_json:
        emit_json({**audit_json(found), "below": below})
    else:
        _show(found)
    for sentence in below:
        note(sentence)
    if below:
        raise typer.Exit(1)


def _show(found: Audit) -> None:
    typer.echo(f"Audit of {found.judge} on {found.clips} clips ({found.unscored} unscored)\n")
    typer.echo("| broken by | kind | prefers intact | 95 % | win/tie/loss | unscored | n/a |")
    typer.echo("|---|---|---|---|---|---|---|")
    for one in found.preferences:
        counts = f"{one.wins}/{one.ties}/{one.losses} | {one.unscored} | {one.not_applicable}"
        ends = _range(one.interval.low, one.interval.high)
        typer.echo(f"| {one.name} | {one.kind} | {_share(one.rate)} | {ends} | {counts} |")
    typer.echo("\n| should not matter | same verdict | 95 % | pairs | lost score | mean shift |")
    typer.echo("|---|---|---|---|---|---|")
    for same in found.invariances:
        ends = _range(same.interval.low, same.interval.high)
        counts = f"{same.pairs} | {same.unscored} | {_share(same.shift)}"
        typer.echo(f"| {same.name} | {_share(same.rate)} | {ends} | {counts} |")
    typer.echo("")
    for flag in found.flags:
        typer.echo(f"- {flag}")


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _range(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
