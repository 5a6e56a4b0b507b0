"""Pictures of a leaderboard; Matplotlib without a display."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phybench.machine.digest import text_digest
from phybench.runs.cells import Cell, Run
from phybench.runs.numbers import MEASURES, CellMetrics
from phybench.statistics.paired import PairedDifference, paired_difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE = "identity"
_TITLES = {"sa": "Semantic adherence", "pc": "Physical commonsense", "joint": "Joint success"}
_DPI = 130


def draw_plots(
    run: Run, cells: Sequence[CellMetrics], folder: Path, *, simulated: bool
) -> list[Path]:
    """Draw all plots of a run, one set per judge.

    Args:
        run: The run, for paired differences.
        cells: Its numbers.
        folder: Where the PNG files go; made if absent.
        simulated: Whether to write so into every picture.

    Returns:
        The files written: heat maps over refiner × generator, the SA–PC scatter, and, if the run
        has the baseline ``identity`` and another refiner, bars of the difference to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for judge in dict.fromkeys(cell.judge for cell in cells):
        own = [cell for cell in cells if cell.judge == judge]
        figures = {"heatmap": _heatmaps(own), "scatter": _scatter(own)}
        differences = _differences(run, judge)
        if differences:
            figures["difference"] = difference_bars(differences)
        for name, figure in figures.items():
            path = folder / f"{_slug(judge)}-{name}.png"
            _save(figure, path, f"judge: {judge}", simulated)
            written.append(path)
    return written


def _slug(name: str) -> str:
    """A judge's name as a file name; a name that loses characters keeps a digest instead."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".")[:60]
    return plain if plain == name else f"{plain}-{text_digest(name)[:6]}"


def _save(figure: Figure, path: Path, note: str, simulated: bool) -> None:
    text = f"{note} · simulated world, says nothing about real models" if simulated else note
    figure.supxlabel(text, x=0.99, ha="right", fontsize=7, color="0.35")
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=_DPI, format="png", metadata={"Software": None})
    temporary.replace(path)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, columns, number + 1) for number in range(columns)]


def _heatmaps(cells: Sequence[CellMetrics]) -> Figure:
    refiners = list(dict.fromkeys(cell.refiner for cell in cells))
    generators = list(dict.fromkeys(cell.generator for cell in cells))
    width = 3 * (1.6 + 0.75 * len(generators))
    figure, axes = _figure(width, 1.4 + 0.5 * len(refiners), len(MEASURES))
    for axis, measure in zip(axes, MEASURES, strict=True):
        values = [[math.nan] * len(generators) for _ in refiners]
        for cell in cells:
            at = refiners.index(cell.refiner), generators.index(cell.generator)
            values[at[0]][at[1]] = 100 * cell.rates[measure].rate
        axis.imshow(values, vmin=0, vmax=100, cmap="viridis", aspect="auto")
        axis.set_title(f"{_TITLES[measure]}, %", fontsize=9)
        axis.set_xticks(range(len(generators)), generators, rotation=30, ha="right", fontsize=8)
        axis.set_yticks(range(len(refiners)), refiners, fontsize=8)
        _write_values(axis, values)
    return figure


def _write_values(axis: Axes, values: Sequence[Sequence[float]]) -> None:
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            text = "–" if math.isnan(value) else f"{value:.1f}"
            color = "black" if value > 60 else "white"
            axis.text(x, y, text, ha="center", va="center", fontsize=8, color=color)


def _scatter(cells: Sequence[CellMetrics]) -> Figure:
    figure, (axis,) = _figure(5.4, 4.6)
    for cell in cells:
        sa, pc = cell.rates["sa"], cell.rates["pc"]
        if math.isnan(sa.rate):
            continue
        axis.errorbar(
            100 * sa.rate,
            100 * pc.rate,
            xerr=[[100 * (sa.rate - sa.interval.low)], [100 * (sa.interval.high - sa.rate)]],
            yerr=[[100 * (pc.rate - pc.interval.low)], [100 * (pc.interval.high - pc.rate)]],
            fmt="o",
            capsize=3,
            label=f"{cell.refiner} × {cell.generator}",
        )
    axis.set_xlabel("semantic adherence, % of clips (95 % interval)")
    axis.set_ylabel("physical commonsense, % of clips")
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper center", fontsize=8, ncols=2)
    return figure


def _differences(run: Run, judge: str) -> dict[str, Mapping[str, PairedDifference]]:
    """Every arm against ``identity`` on the same generator, paired by prompt and seed."""
    found = {}
    for (refiner, generator, name), cell in run.cells.items():
        baseline = run.cells.get((BASELINE, generator, judge))
        if name == judge and refiner != BASELINE and baseline is not None:
            found[f"{refiner} × {generator}"] = _paired(cell, baseline)
    return {
        arm: differences
        for arm, differences in found.items()
        if all(difference.pairs for difference in differences.values())
    }


def _paired(cell: Cell, baseline: Cell) -> dict[str, PairedDifference]:
    return {
        measure: paired_difference(cell.success(measure), baseline.success(measure))
        for measure in MEASURES
    }


def difference_bars(
    differences: Mapping[str, Mapping[str, PairedDifference]], baseline: str = BASELINE
) -> Figure:
    """Bars of each arm's difference to its baseline, one per measure.

    Args:
        differences: By arm and measure (``sa``, ``pc``, ``joint``).
        baseline: What the axis calls the baseline.
    """
    figure, (axis,) = _figure(6.4, 1.6 + 0.6 * len(differences))
    height = 0.8 / len(MEASURES)
    for number, measure in enumerate(MEASURES):
        found = [difference[measure] for difference in differences.values()]
        middle = [100 * each.difference for each in found]
        low = [100 * (each.difference - each.interval.low) for each in found]
        high = [100 * (each.interval.high - each.difference) for each in found]
        places = [row + (number - 1) * height for row in range(len(found))]
        axis.barh(places, middle, height=height * 0.9, xerr=[low, high], capsize=2, label=measure)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(differences)), list(differences), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(f"difference to {baseline}, points (paired, 95 % bootstrap interval)")
    figure.legend(loc="outside upper center", fontsize=8, ncols=len(MEASURES))
    return figure
