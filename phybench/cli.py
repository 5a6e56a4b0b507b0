"""The command line: names, exit codes, and nothing heavy before a command is chosen."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from phybench import __version__
from phybench.commands.audit import audit
from phybench.commands.calibrate import calibrate
from phybench.commands.compare import compare
from phybench.commands.export import export
from phybench.commands.gate import gate
from phybench.commands.leaderboard import leaderboard
from phybench.commands.listing import doctor, list_plugins
from phybench.commands.refine import refine
from phybench.commands.report import report
from phybench.commands.run import plan, run
from phybench.commands.score import score
from phybench.commands.serve import serve_refiner
from phybench.commands.train import app as train
from phybench.errors import ConfigError, PhybenchError

EXIT_FAILURES = 1
EXIT_NOT_STARTED = 2

app = typer.Typer(
    name="phybench",
    help="Does rewriting the prompt make generated video obey physics?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(plan)
app.command()(refine)
app.command()(score)
app.command()(serve_refiner)
app.command(name="list")(list_plugins)
app.command()(doctor)
app.command()(leaderboard)
app.command()(compare)
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
        sys.exit(EXIT_NOT_STARTED if isinstance(error, ConfigError) else EXIT_FAILURES)


if __name__ == "__main__":
    main()
