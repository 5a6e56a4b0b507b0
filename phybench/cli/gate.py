"""``phybench gate``: freeze a baseline, and check a run or a training log against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import emit_json, note

if TYPE_CHECKING:
    from phybench.gate.findings import GateFinding

gate = typer.Typer(help="Regression and reward-drift checks for CI.", no_args_is_help=True)


@gate.command()
def record(
    run: Annotated[Path, typer.Argument(help="A finished run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The baseline file.")],
    margin: Annotated[float, typer.Option(help="Drop of a rate that is of no consequence.")] = 0.05,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm in all arm checks.")] = 0.01,
    judge_tolerance: Annotated[
        float, typer.Option(help="Mean shift of a judge on unchanged clips; 0: equal scores.")
    ] = 0.0,
) -> None:
    """Freeze a run, and with it what the gate will tolerate."""
    from phybench.gate.baseline import Policy, write_baseline
    from phybench.gate.baseline import record_baseline as freeze

    policy = Policy(margin=margin, alpha=alpha, judge_tolerance=judge_tolerance)
    baseline = freeze(run, policy)
    write_baseline(baseline, output)
    note(f"Written: {output} ({len(baseline.items)} items)")


@gate.command()
def check(
    run: Annotated[Path | None, typer.Argument(help="A finished run of the same plan.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="The baseline file.")] = None,
    rejudge: Annotated[
        bool, typer.Option("--rejudge", help="Judge the golden clips again, past the cache.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option(help="A training log: trainer_state.json, its folder, or jsonl.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of the log: reward|evaluated|holdout|length|kl|motion=NAME."),
    ] = None,
    still: Annotated[
        bool, typer.Option("--still", help="The log's reward should not change at all.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail also where drift could not be excluded.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Append the summary to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json-file", help="Write JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Check for drift. Exit code 0: none, 1: drift, 2: could not check."""
    from phybench.gate.findings import exit_code
    from phybench.gate.outputs import gate_json, gate_markdown, to_junit
    from phybench.machine.files import write_text

    findings = _findings(run, baseline, log, column or [], rejudge=rejudge, still=still)
    text = gate_markdown(findings, strict=strict)
    if markdown is not None:
        with markdown.open("a", encoding="utf-8") as file:
            file.write(text)
    if junit is not None:
        write_text(junit, to_junit(findings, strict=strict))
    result = gate_json(findings, strict=strict)
    if json_file is not None:
        write_text(json_file, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        emit_json(result)
    else:
        typer.echo(text)
    raise typer.Exit(exit_code(findings, strict=strict))


def _findings(
    run: Path | None,
    baseline: Path | None,
    log: Path | None,
    columns: list[str],
    *,
    rejudge: bool,
    still: bool,
) -> list[GateFinding]:
    from phybench.errors import ConfigError

    if run is None and log is None:
        raise ConfigError("Expected a run folder or --log, but got neither.")
    if (run is None) != (baseline is None):
        raise ConfigError("Expected a run folder and --baseline together.")
    if log is None and (columns or still):
        raise ConfigError("Expected --log with --column and --still.")
    if run is None and rejudge:
        raise ConfigError("Expected a run folder with --rejudge.")
    findings: list[GateFinding] = []
    if run is not None and baseline is not None:
        from phybench.gate.baseline import read_baseline
        from phybench.gate.check import check_run

        findings += check_run(read_baseline(baseline), run, rejudge=rejudge)
    if log is not None:
        from phybench.gate.training_log import check_log, read_log

        findings += check_log(read_log(log, dict(map(_column, columns))), still=still)
    return findings


def _column(text: str) -> tuple[str, str]:
    from phybench.errors import ConfigError

    role, found, name = text.partition("=")
    if not found or not name:
        raise ConfigError(f"Expected `--column ROLE=NAME`, but got {text!r}.")
    return role, name
