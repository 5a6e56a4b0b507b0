"""Pictures of an ablation; Matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phybench.machine.files import read_jsonl

from ..setup import WORK
from .ablation import VARIANTS, Ablation, Training
from .table import VariantOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_CURVES = {
    "judge/r_sa": "r_sa of the rollouts",
    "judge/r_pc": "r_pc of the rollouts",
    "eval_reward": "reward at evaluations, ½ and ½",
    "eval_holdout": "hold-out judge at evaluations",
}
_DPI = 130
_SMOOTHED = 20
"""Curves of more values than this are shown as means of as many blocks."""


def draw_ablation_plots(
    ablation: Ablation, found: Sequence[VariantOutcome], folder: Path, *, simulated: bool
) -> list[Path]:
    """Draw the reward curves and joint success.

    Args:
        ablation: For the trainings' logs.
        found: The outcomes on the test set.
        folder: Where ``rewards.png`` and ``joint.png`` go; made if absent.
        simulated: Whether to write so into every picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = "simulated world, says nothing about real models" if simulated else ""
    figures = {"rewards": _rewards(ablation), "joint": _joint(found)}
    for name, figure in figures.items():
        figure.supxlabel(note, x=0.99, ha="right", fontsize=7, color="0.35")
        temporary = folder / f".{name}.png.tmp"
        figure.savefig(temporary, dpi=_DPI, format="png", metadata={"Software": None})
        temporary.replace(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


def _figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, columns, number + 1) for number in range(columns)]


def _rewards(ablation: Ablation) -> Figure:
    """Mean over trainings, with a band from the lowest to the highest of them."""
    figure, axes = _figure(3.4 * len(_CURVES), 3.4, len(_CURVES))
    shown = {}
    for axis, (name, title) in zip(axes, _CURVES.items(), strict=True):
        for number, variant in enumerate(VARIANTS):
            steps, values = curves(ablation.of(variant), name)
            if len(steps):
                shown[variant] = _band(axis, steps, values, f"C{number}")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    if shown:
        names = list(shown)
        figure.legend(
            shown.values(), names, loc="outside upper center", fontsize=8, ncols=len(names)
        )
    return figure


def curves(
    trainings: Sequence[Training], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A column of the trainings' logs, at the steps where any of them has it.

    Returns:
        Steps, shape (n,), and values, shape (trainings, n), NaN where a training has none (no reply
        of a step was scored). Long logs come as means over blocks of steps.
    """
    logs = [
        {
            row["step"]: row[name]
            for row in read_jsonl(training.recipe.final / WORK / "log.jsonl")
            if name in row
        }
        for training in trainings
    ]
    steps = sorted({step for log in logs for step in log})
    values = np.array([[log.get(step, np.nan) for step in steps] for log in logs], float)
    blocks = np.array_split(np.arange(len(steps)), min(len(steps), _SMOOTHED) or 1)
    if not steps:
        return np.zeros(0), np.zeros((len(logs), 0))
    middles = np.array([np.mean([steps[at] for at in block]) for block in blocks])
    return middles, np.stack([_mean(values[:, block], axis=1) for block in blocks], axis=1)


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean of what is there, NaN where nothing is (and no warning, unlike NumPy's)."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def _band(
    axis: Axes, steps: NDArray[np.float64], values: NDArray[np.float64], colour: str
) -> Line2D:
    low = np.where(np.isnan(values), np.inf, values).min(axis=0)
    high = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    axis.fill_between(steps, low, high, where=low <= high, color=colour, alpha=0.15, linewidth=0)
    (line,) = axis.plot(steps, _mean(values, axis=0), ".-", color=colour, markersize=4)
    return line


def _joint(found: Sequence[VariantOutcome]) -> Figure:
    """Rates with intervals over prompts; dots are single trainings."""
    judges = list(dict.fromkeys(each.judge for each in found))
    figure, axes = _figure(1.2 + 4.2 * len(judges), 4.2, len(judges))
    for axis, judge in zip(axes, judges, strict=True):
        own = [each for each in found if each.judge == judge]
        for place, outcome in enumerate(own):
            _bar(axis, place, outcome)
        names = [each.variant for each in own]
        axis.set_xticks(range(len(own)), names, rotation=30, ha="right", fontsize=8)
        axis.set_title(f"{judge}, the {own[0].role}", fontsize=9)
        axis.set_ylabel("joint success, % of scored clips (95 % over prompts)", fontsize=8)
        axis.set_ylim(0, 100)
        axis.grid(axis="y", alpha=0.3)
    return figure


def _bar(axis: Axes, place: int, outcome: VariantOutcome) -> None:
    rate = outcome.rate("joint")
    if not rate.n:
        return
    middle = 100 * rate.rate
    ends = [[middle - 100 * rate.interval.low], [100 * rate.interval.high - middle]]
    colour = "0.6" if outcome.variant not in VARIANTS else None
    axis.bar(place, middle, yerr=ends, capsize=3, color=colour, alpha=0.75)
    if len(outcome.cells) > 1:
        each = [100 * np.nanmean(one) for one in outcome.values("joint") if np.isfinite(one).any()]
        axis.plot([place] * len(each), each, "k.", markersize=5)
