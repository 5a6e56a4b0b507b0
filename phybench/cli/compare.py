"""``phybench compare``: arms against a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phybench.cli.console import emit_json, note

if TYPE_CHECKING:
    from phybench.compare.differences import Comparison
    from phybench.compare.reported import Claim, ReportedRate


def compare_command(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="A refiner (identity) or an arm (identity/cogvideox). Default: `identity`; with "
            "several runs the same arms of the first run."
        ),
    ] = None,
    reported: Annotated[
        bool, typer.Option("--reported", help="Add the PhyPrompt paper's published numbers.")
    ] = False,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write the differences as csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Compare every arm with a baseline, paired by prompt and seed."""
    from phybench.errors import ConfigError

    if not runs and not reported:
        raise ConfigError("Expected at least one run folder, or --reported.")
    result: dict[str, Any] = {"schema_version": 1}
    if runs:
        result |= _measured(runs, baseline, level, seed, csv, shown=not as_json)
    elif csv is not None:
        raise ConfigError("Expected runs for --csv: it writes measured differences only.")
    if reported:
        result["reported"] = _reported(shown=not as_json)
    if as_json:
        emit_json(result)


def _measured(
    folders: list[Path],
    baseline: str | None,
    level: float,
    seed: int,
    csv: Path | None,
    *,
    shown: bool,
) -> dict[str, Any]:
    from phybench.api import compare
    from phybench.compare.sentences import COLUMNS, difference_row, sentence
    from phybench.machine.files import write_text
    from phybench.publish.text import csv_text

    found = compare(*folders, baseline=baseline, level=level, seed=seed)
    if csv is not None:
        write_text(csv, csv_text(COLUMNS, [difference_row(each) for each in found.comparisons]))
    for remark in found.remarks:
        note(remark)
    if shown:
        _show(found.comparisons, level, simulated=found.simulated)
    return {
        "simulated": found.simulated,
        "comparisons": [
            {**difference_row(each), "sentence": sentence(each)} for each in found.comparisons
        ],
        "remarks": list(found.remarks),
    }


def _show(comparisons: tuple[Comparison, ...], level: float, *, simulated: bool) -> None:
    from phybench.compare.sentences import difference_table, legend, sentence
    from phybench.publish.text import SIMULATED

    if simulated:
        typer.echo(f"{SIMULATED}\n")
    typer.echo(difference_table(comparisons))
    typer.echo(f"\n{legend(level)}\n")
    for each in comparisons:
        if each.measure == "joint":
            typer.echo(f"- {sentence(each)}")


def _reported(*, shown: bool) -> dict[str, Any]:
    from phybench.compare.reported import claim_sentence, claims, paper_table, read_reported

    rates = read_reported(paper_table())
    found = claims(rates)
    if shown:
        _show_reported(rates, found)
    return {
        "rates": [_rate_row(rate) for rate in rates],
        "claims": [
            {
                "subject": claim.subject.refiner,
                "other": claim.other.refiner,
                "generator": claim.subject.generator,
                "measure": claim.subject.measure,
                "difference": round(claim.difference, 6),
                "low": round(claim.interval.low, 6),
                "high": round(claim.interval.high, 6),
                "p_adjusted": claim.p_adjusted,
                "largest_discordance": claim.discordance,
                "verdict": claim.verdict,
                "sentence": claim_sentence(claim),
            }
            for claim in found
        ],
    }


def _rate_row(rate: ReportedRate) -> dict[str, Any]:
    return {
        "status": "reported",
        "study": rate.study,
        "refiner": rate.refiner,
        "generator": rate.generator,
        "judge": rate.judge,
        "measure": rate.measure,
        "rate": round(rate.rate, 6),
        "low": round(rate.interval.low, 6),
        "high": round(rate.interval.high, 6),
        "n": rate.n,
        "source": rate.source,
        "confidence": rate.confidence,
        "note": rate.note,
    }


def _show_reported(rates: tuple[ReportedRate, ...], found: tuple[Claim, ...]) -> None:
    from phybench.compare.reported import claim_sentence

    typer.echo("\nReported by the PhyPrompt paper (not measured here, never mixed with runs):\n")
    typer.echo("| refiner | generator | measure | reported % | 95 % at this N | N | confidence |")
    typer.echo("|---|---|---|---|---|---|---|")
    for rate in rates:
        ends = f"{100 * rate.interval.low:.1f} to {100 * rate.interval.high:.1f}"
        typer.echo(
            f"| {rate.refiner} | {rate.generator} | {rate.measure} | {100 * rate.rate:.1f} | "
            f"{ends} | {rate.n} | {rate.confidence} |"
        )
    typer.echo("\nWhat these numbers support:\n")
    for claim in found:
        typer.echo(f"- {claim_sentence(claim)}")
