"""The command line: names, exit codes, and nothing heavy before a command is chosen."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from phybench.cli.audit import audit
from phybench.cli.calibrate import calibrate
from phybench.cli.compare import compare_command
from phybench.cli.gate import gate
from phybench.cli.leaderboard import leaderboard
from phybench.cli.listing import doctor, list_plugins
from phybench.cli.refine import refine_command
from phybench.cli.report import export, report
from phybench.cli.run import plan_command, run_command
from phybench.cli.score import score_command
from phybench.cli.serve import serve_refiner
from phybench.cli.train import app as train
from phybench.errors import PhybenchError
from phybench.version import __version__

app = typer.Typer(
    name="phybench",
    help="Does rewriting the prompt make generated video obey physics?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(name="run")(run_command)
app.command(name="plan")(plan_command)
app.command(name="refine")(refine_command)
app.command(name="score")(score_command)
app.command()(serve_refiner)
app.command(name="list")(list_plugins)
app.command()(doctor)
app.command()(leaderboard)
app.command(name="compare")(compare_command)
app.command()(report)
app.command()(calibrate)
app.command()(audit)
app.command()(export)
app.add_typer(gate, name="gate")
app.add_typer(train, name="train")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Does rewriting the prompt make generated video obey physics?"""
    if show:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; the process ends with the design's exit codes."""
    try:
        app()
    except PhybenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
