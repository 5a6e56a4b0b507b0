"""``phybench run`` and ``phybench plan``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phybench.cli.cache_option import CacheFolder
from phybench.cli.console import emit_json, note, stderr, stdout
from phybench.errors import MissingExtraError

if TYPE_CHECKING:
    from phybench.planning.config import RunConfig
    from phybench.plugins.spec import PluginSpec
    from phybench.running.runner import RunOutcome
    from phybench.runs.numbers import CellMetrics

DEFAULT_REFINERS = ("identity", "template")
TRAINED_HERE = "phyprompt-mini"
"""The refiner that was trained on the embedded world: part of the default run there, and of no use
anywhere else."""
DEFAULT_GENERATORS = ("tabletop",)
DEFAULT_JUDGES = ("kinematic",)
DEFAULT_LIMIT = 150
"""Prompts of the bundled set when no prompt set is named: a run of under a minute on two cores."""
DEFAULT_SEEDS = 2
SIMULATED_TITLE = "simulated world: says nothing about real models"

Refiners = Annotated[
    list[str] | None, typer.Option("-r", "--refiner", help="Refiner SPEC; repeat for several.")
]
Generators = Annotated[
    list[str] | None, typer.Option("-g", "--generator", help="Generator SPEC; repeat for several.")
]
Judges = Annotated[
    list[str] | None, typer.Option("-j", "--judge", help="Judge SPEC; repeat for several.")
]
Prompts = Annotated[
    str | None, typer.Option("-p", "--prompts", help="Prompt set, file, or hf:NAME.")
]
Limit = Annotated[int | None, typer.Option(help="Use only the first prompts.")]
Seeds = Annotated[int | None, typer.Option(help="Clips per prompt and arm.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file with these options; flags override it.")
]
Frames = Annotated[int | None, typer.Option(help="Frames per clip, instead of the native number.")]
Fps = Annotated[float | None, typer.Option(help="Frames per second, instead of the native rate.")]
Width = Annotated[int | None, typer.Option(help="Width in pixels, instead of the native one.")]
Height = Annotated[int | None, typer.Option(help="Height in pixels, instead of the native one.")]
View = Annotated[
    str | None,
    typer.Option(help="Show clips to judges as, e.g., fps=4,seconds=6,size=720x480."),
]
RetryOverBudget = Annotated[
    bool | None,
    typer.Option(
        "--retry-over-budget",
        help="Send a text that is too long for the generator back to its refiner, once.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def run(
    refiner: Refiners = None,
    generator: Generators = None,
    judge: Judges = None,
    prompts: Prompts = None,
    limit: Limit = None,
    seeds: Seeds = None,
    seed: Seed = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.")] = None,
    executor: Annotated[str, typer.Option(help="serial, local or ray.")] = "local",
    workers: Annotated[int | None, typer.Option(help="Processes per plugin (local, ray).")] = None,
    config: Config = None,
    frames: Frames = None,
    fps: Fps = None,
    width: Width = None,
    height: Height = None,
    view: View = None,
    retry_over_budget: RetryOverBudget = None,
    cache: CacheFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan.")] = False,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Draw no plots.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Evaluate refiners × generators × judges on a prompt set.

    With no arguments: the bundled simulated world, in under a minute.
    """
    settings = {"frames": frames, "fps": fps, "width": width, "height": height}
    plugins = {"refiners": refiner, "generators": generator, "judges": judge}
    options = {
        "prompts": prompts,
        "limit": limit,
        "seeds": seeds,
        "seed": seed,
        "view": _view(view),
        "retry_over_budget": retry_over_budget or None,
    }
    wanted = _config(config, plugins, options, settings)
    if dry_run:
        _show_plan(wanted, cache, as_json=as_json)
        return
    outcome = _execute(wanted, output, executor, workers, cache, plots=not no_plots, quiet=quiet)
    if as_json:
        from phybench.machine.files import read_json
        from phybench.runs.folder import RESULTS

        emit_json({"folder": str(outcome.folder), **read_json(outcome.folder / RESULTS)})
    else:
        show_cells(outcome.cells, simulated=outcome.simulated)
        stdout().print(f"Written to {outcome.folder}", highlight=False, soft_wrap=True)
    if outcome.failures:
        from phybench.runs.cells import failure_reasons

        note(f"{outcome.failures} judgements failed; run the same command to retry what may work:")
        for reason, count in failure_reasons(outcome.folder, most=3):
            note(f"  {count} × {reason}")
        raise typer.Exit(1)


def plan(
    refiner: Refiners = None,
    generator: Generators = None,
    judge: Judges = None,
    prompts: Prompts = None,
    limit: Limit = None,
    seeds: Seeds = None,
    seed: Seed = None,
    config: Config = None,
    frames: Frames = None,
    fps: Fps = None,
    width: Width = None,
    height: Height = None,
    view: View = None,
    retry_over_budget: RetryOverBudget = None,
    cache: CacheFolder = None,
    as_json: Json = False,
) -> None:
    """Say what a run would do and cost, and do nothing."""
    settings = {"frames": frames, "fps": fps, "width": width, "height": height}
    plugins = {"refiners": refiner, "generators": generator, "judges": judge}
    options = {
        "prompts": prompts,
        "limit": limit,
        "seeds": seeds,
        "seed": seed,
        "view": _view(view),
        "retry_over_budget": retry_over_budget or None,
    }
    wanted = _config(config, plugins, options, settings)
    _show_plan(wanted, cache, as_json=as_json)


def _view(text: str | None) -> Any:
    from phybench.video.common_view import parse_view

    return None if text is None else parse_view(text)


def _config(
    file: Path | None,
    plugins: Mapping[str, list[str] | None],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> RunConfig:
    """Flags over the file over the defaults."""
    from phybench.planning.config import RunConfig, read_config, specs
    from phybench.plugins.contracts import VideoSettings

    given: dict[str, Any] = read_config(file) if file else {}
    given.update({name: specs(values) for name, values in plugins.items() if values})
    given.update({name: value for name, value in options.items() if value is not None})
    if any(value is not None for value in settings.values()):
        given["settings"] = VideoSettings(**settings)
    given.setdefault("generators", specs(DEFAULT_GENERATORS))
    given.setdefault("judges", specs(DEFAULT_JUDGES))
    # Clips on disk are there already: nothing can be refined any more, and there is one of each.
    on_disk = all(spec.name == "files" for spec in given["generators"])
    if "refiners" not in given:
        names = ("identity",) if on_disk else _default_refiners(given["generators"])
        given["refiners"] = specs(names)
    given.setdefault("seeds", 1 if on_disk else DEFAULT_SEEDS)
    if "prompts" not in given and not on_disk:
        given.setdefault("limit", DEFAULT_LIMIT)
    return RunConfig(**given)


def _default_refiners(generators: Sequence[PluginSpec]) -> tuple[str, ...]:
    from phybench.plugins.registry import create

    if any(spec.name != "tabletop" for spec in generators):
        return DEFAULT_REFINERS
    try:
        create("refiner", TRAINED_HERE)
    except MissingExtraError as error:
        note(f"Without `{TRAINED_HERE}`: {error}")
        return DEFAULT_REFINERS
    return (*DEFAULT_REFINERS, TRAINED_HERE)


def _execute(
    config: RunConfig,
    output: Path | None,
    executor: str,
    workers: int | None,
    cache: Path | None,
    *,
    plots: bool,
    quiet: bool,
) -> RunOutcome:
    from phybench.machine.folders import default_folder
    from phybench.planning.disk_space import check_disk
    from phybench.planning.plan import build_plan, warnings
    from phybench.running.progress import shown
    from phybench.running.runner import RUNS, default_name, execute
    from phybench.units.cache import Cache
    from phybench.workers.choice import make_executor

    started = time.monotonic()
    planned = build_plan(config)
    for warning in warnings(planned):
        note(f"warning: {warning}")
    folder = output or RUNS / default_name(planned)
    with Cache(cache or default_folder()) as units:
        check_disk(planned, units, folder)
        pool = make_executor(executor, units.folder / "clips", workers)
        try:
            with shown(stderr(), quiet=quiet) as progress:
                outcome = execute(
                    planned, folder, cache=units, executor=pool, progress=progress, plots=plots
                )
        except KeyboardInterrupt:
            note(
                f"Interrupted. What is finished is kept: run the same command to go on ({folder})."
            )
            raise typer.Exit(130) from None
    if not quiet:
        note(f"{planned.size} items in {time.monotonic() - started:.1f} s.")
    return outcome


def _show_plan(config: RunConfig, cache: Path | None, *, as_json: bool) -> None:
    from phybench.machine.folders import default_folder
    from phybench.planning.estimate import estimate
    from phybench.planning.plan import build_plan
    from phybench.units.cache import Cache

    with Cache(cache or default_folder()) as units:
        found = estimate(build_plan(config), units)
    if as_json:
        emit_json(found.to_json())
    else:
        typer.echo(found.to_text())


def show_cells(cells: Sequence[CellMetrics], *, simulated: bool) -> None:
    """Print a leaderboard to stdout."""
    from rich.table import Table

    from phybench.publish.leaderboard import ordered, percent, rank_text
    from phybench.runs.numbers import MEASURES

    title = SIMULATED_TITLE if simulated else None
    table = Table(title=title)
    for column in ("rank", "refiner", "generator", "judge"):
        table.add_column(column)
    for column in ("SA %", "PC %", "joint %", "scored", "failed"):
        table.add_column(column, justify="right", no_wrap=True)
    for cell in ordered(cells):
        table.add_row(
            rank_text(cell),
            *(_literal(name) for name in (cell.refiner, cell.generator, cell.judge)),
            *(percent(cell, measure).replace("[", r"\[") for measure in MEASURES),
            f"{cell.counts['scored']}/{cell.counts['planned']}",
            str(cell.counts["failed"]),
        )
    console = stdout()
    console.print(table)
    for cell in ordered(cells):
        console.print(cell.signature, style="dim", highlight=False, soft_wrap=True, markup=False)


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
