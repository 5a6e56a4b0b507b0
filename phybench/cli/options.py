"""The options that several commands share, defined once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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


def _shared(
    refiners: Annotated[
        list[str] | None, typer.Option("-r", "--refiner", help="Refiner SPEC; repeat for several.")
    ] = None,
    generators: Annotated[
        list[str] | None,
        typer.Option("-g", "--generator", help="Generator SPEC; repeat for several."),
    ] = None,
    judges: Annotated[
        list[str] | None, typer.Option("-j", "--judge", help="Judge SPEC; repeat for several.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("-p", "--prompts", help="Prompt set, file, or hf:NAME.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first prompts.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Clips per prompt and arm.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.")] = None,
    executor: Annotated[
        str | None, typer.Option(help="serial, local or ray (default: local).")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes per plugin (local, ray).")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML file with these options; flags override it."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames per clip, instead of the native number.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second, instead of the native rate.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Width in pixels, instead of the native one.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="Height in pixels, instead of the native one.")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(help="Show clips to judges as, e.g., fps=4,seconds=6,size=720x480."),
    ] = None,
    retry_over_budget: Annotated[
        bool | None,
        typer.Option(
            "--retry-over-budget/--no-retry-over-budget",
            help="Send a text that is too long for the generator back to its refiner, once.",
        ),
    ] = None,
    cache: CacheFolder = None,
    plots: Annotated[
        bool | None, typer.Option("--plots/--no-plots", help="Draw plots (default: yes).")
    ] = None,
    quiet: Annotated[
        bool | None, typer.Option("--quiet/--no-quiet", help="Show no progress.")
    ] = None,
) -> None:
    """Carries the options; never called."""


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a run beside its own.

    Args:
        command: Takes ``given`` (the options by their names in YAML and Python), ``config`` (the
            YAML file) and options of its own.

    Returns:
        The command as Typer takes it.
    """
    shared = _parameters(_shared)
    own = {
        name: each for name, each in _parameters(command).items() if name not in {"given", "config"}
    }

    @functools.wraps(command)
    def typed(**arguments: Any) -> None:
        mine = {name: arguments.pop(name) for name in own}
        config = arguments.pop("config")
        command(given=arguments, config=config, **mine)

    together = {**shared, **own}
    typed.__signature__ = inspect.Signature(list(together.values()))  # type: ignore[attr-defined]
    typed.__annotations__ = {name: each.annotation for name, each in together.items()}
    del typed.__wrapped__  # Typer would read the signature of the command below.
    return typed


def _parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    return {
        name: each.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, each in inspect.signature(function).parameters.items()
    }
