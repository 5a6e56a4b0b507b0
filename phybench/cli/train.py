"""``phybench train``: make the refiner that wins, in two stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phybench.cli.console import emit_json, note

app = typer.Typer(help="Train a refiner: stage 1 (sft), then stage 2 (grpo).", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A bundled recipe's name, or a YAML file.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value: KEY=VALUE, e.g. grpo.steps=10.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it will cost (JSON).")]


@app.command()
def sft(recipe: Name, changes: Changes = None, dry_run: DryRun = False) -> None:
    """Stage 1: supervised fine-tuning on physics chain-of-thought triples.

    A second start of the same command continues.
    """
    from phybench.machine.folders import default_folder
    from phybench.training.recipe.recipe import load_recipe
    from phybench.units.cache import Cache

    chosen = load_recipe(recipe, changes or [])
    if dry_run:
        from phybench.training.stage1.forecast import forecast_sft

        with Cache(default_folder()) as cache:
            cost = forecast_sft(chosen, cache)
        note(cost.to_text())
        emit_json(cost.to_json())
        return
    from phybench.training.stage1.sft import train_sft

    folder = train_sft(chosen, note)
    typer.echo(str(folder))


@app.command()
def grpo(
    recipe: Name,
    changes: Changes = None,
    dry_run: DryRun = False,
) -> None:
    """Stage 2: GRPO with the curriculum reward, from stage 1's checkpoint.

    A second start of the same command continues.
    """
    from phybench.machine.folders import default_folder
    from phybench.training.recipe.recipe import load_recipe
    from phybench.training.stage2.forecast import forecast
    from phybench.training.stage2.grpo import open_reward, train_grpo
    from phybench.units.cache import Cache

    chosen = load_recipe(recipe, changes or [])
    parts = open_reward(chosen, note)
    with Cache(default_folder()) as cache:
        cost = forecast(chosen, parts, cache)
    note(cost.to_text())
    if dry_run:
        emit_json(cost.to_json())
        return
    folder = train_grpo(chosen, note)
    typer.echo(str(folder))


@app.command()
def ablate(
    recipe: Name,
    changes: Changes = None,
    variants: Annotated[
        str, typer.Option(help="Comma-separated; `dynamic` must be among them. Default: all.")
    ] = "",
    training_seeds: Annotated[int, typer.Option(help="Trainings of each variant.")] = 3,
    prompts: Annotated[
        str,
        typer.Option(
            "-p", "--prompts", help="Test set (default: the recipe's first `data.decontaminate`)."
        ),
    ] = "",
    limit: Annotated[int | None, typer.Option(help="Only the first test prompts.")] = None,
    seeds: Annotated[int, typer.Option(help="Clips per test prompt.")] = 2,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder.")] = None,
    dry_run: DryRun = False,
) -> None:
    """What the curriculum is worth: variants of a recipe, each trained several times and evaluated.

    The curriculum against SA alone, PC alone, half and half, no stage 1, and stage 1 alone, from
    one start. A second start of the same command continues.
    """
    import sys

    from phybench.machine.folders import default_folder
    from phybench.running.runner import RUNS
    from phybench.training.ablation.ablation import VARIANTS, plan_ablation, run_ablation
    from phybench.training.ablation.forecast import forecast_ablation
    from phybench.training.ablation.report import conclusions, write_ablation_report
    from phybench.training.stage2.grpo import open_reward
    from phybench.units.cache import Cache

    ablation = plan_ablation(
        recipe,
        changes or [],
        output or RUNS / f"ablation-{Path(recipe).stem}",
        variants=[name.strip() for name in variants.split(",")] if variants else tuple(VARIANTS),
        training_seeds=training_seeds,
        prompts=prompts,
        limit=limit,
        seeds=seeds,
    )
    parts = open_reward(ablation.recipe, note)
    with Cache(default_folder()) as cache:
        cost = forecast_ablation(ablation, parts, cache)
    note(cost.to_text())
    if dry_run:
        emit_json(cost.to_json())
        return
    compared = write_ablation_report(ablation, run_ablation(ablation, note), sys.argv)
    for line in conclusions(compared):
        typer.echo(line)
    typer.echo(str(ablation.folder / "ablation.md"))


@app.command()
def push(
    recipe: Name,
    repository: Annotated[str, typer.Option("--to", help="USER/NAME on the hub.")],
    changes: Changes = None,
    what: Annotated[str, typer.Option(help="grpo or sft (a checkpoint), or data.")] = "grpo",
    public: Annotated[bool, typer.Option("--public", help="A new repository is public.")] = False,
) -> None:
    """Upload a finished checkpoint, or stage 1's data, with its card (token in HF_TOKEN).

    Nothing else in phybench uploads anything.
    """
    from phybench.errors import ConfigError
    from phybench.training.recipe.hub import push_checkpoint, push_data
    from phybench.training.recipe.recipe import load_recipe

    chosen = load_recipe(recipe, changes or [])
    if what == "data":
        typer.echo(push_data(chosen, repository, public=public))
    elif what == "sft":
        typer.echo(push_checkpoint(chosen, "sft", repository, public=public))
    elif what == "grpo":
        typer.echo(push_checkpoint(chosen, "grpo", repository, public=public))
    else:
        raise ConfigError(f"Expected `--what` to be grpo, sft or data, but got {what!r}.")
