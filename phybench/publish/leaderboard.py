"""Leaderboards: csv for programs, Markdown for people, from one or several runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from phybench.publish.text import SIMULATED, csv_text, escape_markdown, interval_text
from phybench.runs.numbers import MEASURES, CellMetrics, MeasuredRate

COLUMNS = (
    "refiner",
    "generator",
    "judge",
    "n_planned",
    "n_scored",
    "n_unscored",
    "n_failed",
    *MEASURES,
    *(f"{measure}_{end}" for measure in MEASURES for end in ("low", "high", "worst", "best")),
    "sa_mean",
    "pc_mean",
    "rank_low",
    "rank_high",
    "signature",
)
_DIGITS = 6


def leaderboard_row(cell: CellMetrics) -> dict[str, Any]:
    """A cell as a leaderboard row: rates in 0..1, ``None`` where nothing was scored."""
    return {
        "refiner": cell.refiner,
        "generator": cell.generator,
        "judge": cell.judge,
        **{f"n_{status}": count for status, count in cell.counts.items()},
        **rate_columns(cell.rates),
        "sa_mean": _number(cell.sa_mean),
        "pc_mean": _number(cell.pc_mean),
        "rank_low": cell.rank.low,
        "rank_high": cell.rank.high,
        "signature": cell.signature,
    }


def rate_columns(rates: Mapping[str, MeasuredRate]) -> dict[str, float | None]:
    """Each measure's rate with its interval and bounds, ``None`` where nothing was scored."""
    values: dict[str, float | None] = {}
    for measure in MEASURES:
        rate = rates[measure]
        values[measure] = _number(rate.rate)
        values[f"{measure}_low"] = _number(rate.interval.low)
        values[f"{measure}_high"] = _number(rate.interval.high)
        values[f"{measure}_worst"] = _number(rate.worst)
        values[f"{measure}_best"] = _number(rate.best)
    return values


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, _DIGITS)


def leaderboard_csv(cells: Sequence[CellMetrics]) -> str:
    """The leaderboard as csv, best arm first within each judge."""
    rows = [leaderboard_row(cell) for cell in ordered(cells)]
    return csv_text(COLUMNS, rows)


def ordered(cells: Sequence[CellMetrics]) -> list[CellMetrics]:
    """Cells grouped by judge, by joint from high to low; cells without a score last."""

    def place(cell: CellMetrics) -> tuple[str, float]:
        rate = cell.rates["joint"].rate
        return cell.judge, math.inf if math.isnan(rate) else -rate

    return sorted(cells, key=place)


def leaderboard_markdown(cells: Sequence[CellMetrics], *, simulated: bool) -> str:
    """The leaderboard as a Markdown page with the signatures below the table."""
    lines = ["# Leaderboard", ""]
    if simulated:
        lines += [SIMULATED, ""]
    lines += [
        "| rank | refiner | generator | judge | SA % | PC % | joint % | scored | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    best_first = ordered(cells)
    for cell in best_first:
        names = (escape_markdown(name) for name in (cell.refiner, cell.generator, cell.judge))
        rates = (percent(cell, measure) for measure in MEASURES)
        scored = f"{cell.counts['scored']}/{cell.counts['planned']}"
        columns = (rank_text(cell), *names, *rates, scored, str(cell.counts["failed"]))
        lines.append(f"| {' | '.join(columns)} |")
    lines += [
        "",
        "Rates are shares of scored items with a 95 % interval over prompts. A rank such as 1–2 "
        "means that the arms cannot be told apart on these prompts (paired tests, Holm-adjusted).",
        "",
        "Signatures:",
        "",
        *(f"- `{cell.signature}`" for cell in best_first),
        "",
    ]
    return "\n".join(lines)


def percent(cell: CellMetrics, measure: str) -> str:
    """A rate with its interval in per cent, or a dash if nothing was scored."""
    return interval_text(cell.rates[measure])


def rank_text(cell: CellMetrics) -> str:
    """A rank as one place or a range of places."""
    low, high = cell.rank.low, cell.rank.high
    return str(low) if low == high else f"{low}–{high}"


def to_results(cells: Sequence[CellMetrics]) -> list[dict[str, Any]]:
    """Cells as JSON values with every interval and the method behind it."""
    return [{**leaderboard_row(cell), "intervals": _intervals(cell)} for cell in cells]


def _intervals(cell: CellMetrics) -> dict[str, Any]:
    return {
        measure: {
            key: _number(value) if isinstance(value, float) else value
            for key, value in asdict(cell.rates[measure].interval).items()
        }
        for measure in MEASURES
    }
