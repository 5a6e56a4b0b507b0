"""Where commands write: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 160


def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    return console


def stderr() -> Console:
    """The console for progress, notes and errors."""
    from rich.console import Console

    return Console(stderr=True)


def note(text: str) -> None:
    """Tell the person something that is no result."""
    typer.echo(text, err=True)


def emit_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
