"""Cells, csv and Markdown: how numbers and names are written for people and programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from phybench.runs.numbers import MeasuredRate


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as csv in which no text can be taken for a formula by a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: inert(value) for key, value in each.items()} for each in rows)
    return buffer.getvalue()


def inert(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not run; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value


SIMULATED = (
    "**Simulated.** These clips come from the embedded world `tabletop`; the numbers say nothing "
    "about real text-to-video models."
)


def interval_text(rate: MeasuredRate) -> str:
    """A rate with its interval in per cent, or a dash if nothing was scored."""
    if math.isnan(rate.rate):
        return "–"
    low, high = 100 * rate.interval.low, 100 * rate.interval.high
    return f"{100 * rate.rate:.1f} [{low:.1f}, {high:.1f}]"


def escape_markdown(text: str) -> str:
    """A name that cannot break out of its table cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
