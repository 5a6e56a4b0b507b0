"""``phybench list`` and ``phybench doctor``: what is there, and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from phybench.cli.console import emit_json, stdout


def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """List refiners, generators, judges and prompt sets."""
    from phybench.plugins.opened import KINDS
    from phybench.plugins.registry import names
    from phybench.prompts.prompt_sets import bundled_sets

    found = {f"{kind}s": names(kind) for kind in KINDS}
    found["prompt sets"] = list(bundled_sets())
    if as_json:
        emit_json(found)
        return
    for kind, entries in found.items():
        typer.echo(f"{kind}:")
        for entry in entries:
            typer.echo(f"  {entry}")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Say what of this installation works here, and what the rest needs."""
    from rich.markup import escape
    from rich.table import Table

    from phybench.cli.doctor import inspect_installation

    found = inspect_installation()
    if as_json:
        emit_json(found.to_json())
        return
    console = stdout()
    for name, value in found.machine.items():
        console.print(f"{name}: {value}", highlight=False, markup=False)
    table = Table("kind", "name", "state", "what it needs")
    for plugin in found.plugins:
        state = "[green]ready[/green]" if plugin.ready else "[yellow]not ready[/yellow]"
        table.add_row(plugin.kind, escape(plugin.name), state, escape(plugin.needs))
    console.print(table)
