"""``phybench train``: make the refiner that wins, in two stages."""

from __future__ import annotations

from typing import Annotated

import typer

from phybench.commands.console import emit_json, note

app = typer.Typer(help="Train a refiner: stage 1 (sft), then stage 2 (grpo).", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A bundled recipe's name, or a YAML file.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value: KEY=VALUE, e.g. grpo.steps=10.")
]


@app.command()
def sft(recipe: Name, changes: Changes = None) -> None:
    """Stage 1: supervised fine-tuning on physics chain-of-thought triples.

    A second start of the same command continues.
    """
    from phybench.training.recipe import load_recipe
    from phybench.training.sft import train_sft

    folder = train_sft(load_recipe(recipe, changes or []), note)
    typer.echo(str(folder))


@app.command()
def grpo(
    recipe: Name,
    changes: Changes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it will cost (JSON).")
    ] = False,
) -> None:
    """Stage 2: GRPO with the curriculum reward, from stage 1's checkpoint.

    A second start of the same command continues.
    """
    from phybench.cache import Cache, default_folder
    from phybench.training.forecast import forecast
    from phybench.training.grpo import open_reward, train_grpo
    from phybench.training.recipe import load_recipe

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
