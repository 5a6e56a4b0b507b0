"""The option ``--cache`` of every command that has one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _obeyed(context: typer.Context, folder: Path | None) -> Path | None:
    """Keep everything of this command in the folder, what nested plugins write included."""
    from phybench.machine.folders import cache_folder

    context.with_resource(cache_folder(folder))
    return folder


CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", help="Cache folder (default: $PHYBENCH_CACHE).", callback=_obeyed),
]
