"""From cells to the numbers of a leaderboard row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phybench.runs.cells import Cell, Run, Status
from phybench.statistics.interval import Interval
from phybench.statistics.ranks import Rank, tie_groups
from phybench.statistics.rates import arm_mean, arm_rate, failure_bounds

MEASURES = ("sa", "pc", "joint")


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """A success rate of a cell.

    Args:
        rate: Successes per scored item in [0, 1]; NaN if nothing was scored.
        interval: Confidence interval over prompts.
        worst: The rate if every item without a score had failed.
        best: The rate if every item without a score had succeeded.
    """

    rate: float
    interval: Interval
    worst: float
    best: float


@dataclass(frozen=True, slots=True)
class CellMetrics:
    """The numbers of one cell.

    Args:
        refiner: Name of the refiner.
        generator: Name of the generator.
        judge: Name of the judge.
        counts: Items by status: planned, scored, unscored, failed.
        rates: By measure: ``sa``, ``pc``, ``joint``.
        sa_mean: Mean SA on the judge's scale; NaN if nothing was scored.
        pc_mean: Mean PC, likewise.
        rank: Places on joint that the arm may hold among this judge's arms.
        signature: What made the numbers, in one line.
    """

    refiner: str
    generator: str
    judge: str
    counts: Mapping[str, int]
    rates: Mapping[str, MeasuredRate]
    sa_mean: float
    pc_mean: float
    rank: Rank
    signature: str


def measure(run: Run) -> tuple[CellMetrics, ...]:
    """Compute every cell of a run, in the run's order."""
    ranks = _ranks(tuple(run.cells.values()))
    return tuple(
        _cell_metrics(cell, ranks[name], run.header["signatures"]["|".join(name)])
        for name, cell in run.cells.items()
    )


def _ranks(cells: Sequence[Cell]) -> dict[tuple[str, str, str], Rank]:
    """Arms are ranked by joint within each judge; scores of two judges are never compared."""
    found = {}
    for judge in dict.fromkeys(cell.judge for cell in cells):
        arms = [cell for cell in cells if cell.judge == judge]
        ranks = tie_groups([arm.success("joint") for arm in arms])
        for arm, rank in zip(arms, ranks, strict=True):
            found[arm.refiner, arm.generator, judge] = rank
    return found


def _cell_metrics(cell: Cell, rank: Rank, signature: str) -> CellMetrics:
    counts = count_statuses(cell, cell.status.size)
    return CellMetrics(
        cell.refiner,
        cell.generator,
        cell.judge,
        counts,
        measured_rates(cell, counts),
        arm_mean(cell.sa).mean if counts["scored"] else math.nan,
        arm_mean(cell.pc).mean if counts["scored"] else math.nan,
        rank,
        signature,
    )


def count_statuses(cell: Cell, planned: int) -> dict[str, int]:
    """Items of a cell by status, of ``planned`` in all."""
    counts = {"planned": planned}
    for status in (Status.SCORED, Status.UNSCORED, Status.FAILED):
        counts[status.name.lower()] = int((cell.status == status).sum())
    return counts


def measured_rates(cell: Cell, counts: Mapping[str, int]) -> dict[str, MeasuredRate]:
    """Success rates of a cell by measure, with the counts of :func:`count_statuses`."""
    return {name: _rate(cell, name, counts) for name in MEASURES}


def _rate(cell: Cell, name: str, counts: Mapping[str, int]) -> MeasuredRate:
    success = cell.success(name)
    found = arm_rate(success)
    missing = counts["planned"] - counts["scored"]
    bounds = failure_bounds(float(np.nansum(success)), counts["scored"], missing)
    return MeasuredRate(found.rate, found.interval, bounds.worst, bounds.best)
