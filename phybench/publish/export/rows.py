"""What every format starts from: a run's cells with their items, and safe file names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phybench.runs.cells import Run
from phybench.runs.items import JudgedItem, read_items
from phybench.runs.numbers import CellMetrics, measure

ScoreRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellItems:
    """One judge's view of one arm.

    Args:
        metrics: Its numbers.
        items: The arm's items, each with the judge's row, or ``None`` if it was never judged.
    """

    metrics: CellMetrics
    items: tuple[tuple[JudgedItem, ScoreRow | None], ...]


def cells_with_items(run: Run) -> Iterator[CellItems]:
    """Every cell of a run, in the run's order."""
    arms: dict[tuple[str, str], list[JudgedItem]] = {}
    for item in read_items(run.folder):
        arms.setdefault((item.refiner, item.generator), []).append(item)
    for metrics in measure(run):
        items = arms.get((metrics.refiner, metrics.generator), [])
        judge = metrics.judge
        yield CellItems(metrics, tuple((item, item.scores.get(judge)) for item in items))


def flat_rows(run: Run) -> list[dict[str, Any]]:
    """One row per item and judge, with plain values only."""
    judges = [judge["name"] for judge in run.header["plugins"]["judge"]]
    return [
        _flat(item, judge, item.scores.get(judge))
        for item in read_items(run.folder)
        for judge in judges
    ]


def _flat(item: JudgedItem, judge: str, score: ScoreRow | None) -> dict[str, Any]:
    error = item.error or (score or {}).get("error")
    status = score["status"] if score else ("failed" if item.error else "open")
    return {
        "prompt_id": item.prompt_id,
        "prompt": item.prompt,
        "refiner": item.refiner,
        "generator": item.generator,
        "k": item.k,
        "seed": item.seed,
        "refinement": item.refinement["text"] if item.refinement else None,
        "clip": item.clip["path"] if item.clip else None,
        "clip_sha256": item.clip["sha256"] if item.clip else None,
        "judge": judge,
        "status": status,
        "sa": score["sa"] if score else None,
        "pc": score["pc"] if score else None,
        "joint": score["joint"] if score else None,
        "reply": score.get("reply") if score else None,
        "error": f"{error['kind']}: {error['message']}" if error else None,
    }


def slugs(names: Sequence[str]) -> dict[str, str]:
    """File names for plugin names: nothing but letters, digits, dot, dash; each its own."""
    found: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip(".-")[:80] or "unnamed"
        taken = {slug.lower() for slug in found.values()}
        slug, number = base, 2
        while slug.lower() in taken:
            slug, number = f"{base}-{number}", number + 1
        found[name] = slug
    return found


def json_number(value: float) -> float | None:
    """``None`` for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
