"""``phybench list`` and ``phybench doctor``: what is there, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import emit_json, stdout

if TYPE_CHECKING:
    from phybench.plugins.describe import PluginText


def list_plugins(
    name: Annotated[
        str | None, typer.Argument(help="Describe this plugin or preset and its options.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """List refiners, generators, judges and prompt sets, or describe one plugin."""
    from phybench.plugins.opened import KINDS
    from phybench.plugins.registry import names
    from phybench.prompts.prompt_sets import bundled_sets

    if name is not None:
        _describe(name, as_json=as_json)
        return
    found = {f"{kind}s": names(kind) for kind in KINDS}
    found["prompt sets"] = list(bundled_sets())
    if as_json:
        emit_json(found)
        return
    for kind, entries in found.items():
        typer.echo(f"{kind}:")
        for entry in entries:
            typer.echo(f"  {entry}")


def _describe(name: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from phybench.plugins.describe import describe_plugins

    found = describe_plugins(name)
    if as_json:
        emit_json([asdict(one) for one in found])
        return
    typer.echo("\n\n".join(_page(one) for one in found))


def _page(plugin: PluginText) -> str:
    """A plugin as text."""
    lines = [f"{plugin.kind} {plugin.name}", "", plugin.text, ""]
    if plugin.plugin != plugin.name:
        given = [f"  {name} = {value!r}" for name, value in plugin.preset.items()]
        lines += [f"A preset of `{plugin.plugin}` with:", *given, ""]
    lines += ["options:"] if plugin.options else ["It has no options."]
    for option in plugin.options:
        default = "must be given" if option.default is None else f"default {option.default}"
        lines += [f"  {option.name}: {option.type}, {default}", f"      {option.text}"]
    return "\n".join(lines)


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
