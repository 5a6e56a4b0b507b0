"""A run's numbers apart for texts that the generator read whole and texts that it cut.

The groups hold different prompts, mostly shorter and longer ones, so a difference between them is
not the effect of cutting: it says where to look. There are no ranks here for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from phybench.errors import ConfigError
from phybench.machine.files import read_jsonl
from phybench.publish.leaderboard import rate_columns
from phybench.publish.text import SIMULATED, csv_text, escape_markdown, interval_text
from phybench.runs.cells import Cell, Run, Status
from phybench.runs.folder import ITEMS
from phybench.runs.numbers import MEASURES, MeasuredRate, count_statuses, measured_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN, WHOLE, TRUNCATED = 0, 1, 2
NAMES = {WHOLE: "whole", TRUNCATED: "truncated", UNKNOWN: "unknown"}
"""``unknown``: the generator does not say, or there is no clip."""
COLUMNS = (
    "refiner",
    "generator",
    "judge",
    "text",
    "n_planned",
    "n_scored",
    "n_unscored",
    "n_failed",
    *MEASURES,
    *(f"{measure}_{end}" for measure in MEASURES for end in ("low", "high", "worst", "best")),
    "signature",
)


@dataclass(frozen=True, slots=True)
class CellPart:
    """The items of a cell whose texts were read in one way.

    Args:
        refiner: Name of the refiner.
        generator: Name of the generator.
        judge: Name of the judge.
        text: ``whole``, ``truncated`` or ``unknown``.
        counts: Items by status: planned, scored, unscored, failed.
        rates: By measure: ``sa``, ``pc``, ``joint``.
        signature: What made the numbers.
    """

    refiner: str
    generator: str
    judge: str
    text: str
    counts: Mapping[str, int]
    rates: Mapping[str, MeasuredRate]
    signature: str

    def row(self) -> dict[str, Any]:
        """The part as a table row: rates in 0..1, ``None`` where nothing was scored."""
        return {
            "refiner": self.refiner,
            "generator": self.generator,
            "judge": self.judge,
            "text": self.text,
            **{f"n_{status}": count for status, count in self.counts.items()},
            **rate_columns(self.rates),
            "signature": self.signature,
        }


def split_by_truncation(run: Run) -> tuple[CellPart, ...]:
    """The parts of every cell of a run, in its order; none if no generator says what it read."""
    read = _how_read(run)
    if not (read != UNKNOWN).any():
        return ()
    plugins = run.header["plugins"]
    places = {
        kind: {one["name"]: number for number, one in enumerate(plugins[kind])}
        for kind in ("refiner", "generator")
    }
    return tuple(
        part
        for cell in run.cells.values()
        for part in _parts(
            run,
            cell,
            read[:, :, places["refiner"][cell.refiner], places["generator"][cell.generator]],
        )
    )


def known_parts(runs: Sequence[Run]) -> tuple[CellPart, ...]:
    """The parts of several runs' cells.

    Raises:
        ConfigError: If no generator of theirs says whether it read a text whole.
    """
    parts = tuple(part for run in runs for part in split_by_truncation(run))
    if not parts:
        raise ConfigError(
            "Expected a generator that records whether it cut a text, but none of these runs has "
            "one, so they cannot be split by it."
        )
    return parts


def parts_csv(parts: Sequence[CellPart]) -> str:
    """The parts as csv."""
    return csv_text(COLUMNS, [part.row() for part in parts])


def parts_markdown(parts: Sequence[CellPart], *, simulated: bool) -> str:
    """The parts as a Markdown page."""
    lines = [
        "# Leaderboard by how the generator read the text",
        "",
        *([SIMULATED, ""] if simulated else []),
        "The groups hold different prompts: a difference is not the effect of cutting.",
        "",
        "| refiner | generator | judge | text | SA % | PC % | joint % | scored | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for part in parts:
        cells = map(escape_markdown, columns_of(part))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def columns_of(part: CellPart) -> tuple[str, ...]:
    """A part's row for people."""
    return (
        part.refiner,
        part.generator,
        part.judge,
        part.text,
        *(interval_text(part.rates[measure]) for measure in MEASURES),
        f"{part.counts['scored']}/{part.counts['planned']}",
        str(part.counts["failed"]),
    )


def _how_read(run: Run) -> NDArray[np.uint8]:
    """How each item's text was read, shape (prompts, repeats, refiners, generators)."""
    plugins = run.header["plugins"]
    arms = (len(plugins["refiner"]), len(plugins["generator"]))
    shape = (len(run.prompt_ids), run.header["seeds"], *arms)
    read = np.full(int(np.prod(shape)), UNKNOWN, np.uint8)
    for row in read_jsonl(run.folder / ITEMS):
        cut = (row.get("clip") or {}).get("meta", {}).get("truncated")
        read[row["index"]] = (WHOLE, TRUNCATED)[cut] if isinstance(cut, bool) else UNKNOWN
    return read.reshape(shape)


def _parts(run: Run, cell: Cell, read: NDArray[np.uint8]) -> list[CellPart]:
    signature = run.header["signatures"]["|".join((cell.refiner, cell.generator, cell.judge))]
    found = []
    for how, name in NAMES.items():
        here = read == how
        if not here.any():
            continue
        part = replace(
            cell,
            status=np.where(here, cell.status, np.uint8(Status.OPEN)),
            sa=np.where(here, cell.sa, np.nan),
            pc=np.where(here, cell.pc, np.nan),
        )
        counts = count_statuses(part, int(here.sum()))
        found.append(
            CellPart(
                cell.refiner,
                cell.generator,
                cell.judge,
                name,
                counts,
                measured_rates(part, counts),
                signature,
            )
        )
    return found
