"""Where the two sets of scores come from: a table of labelled clips, or two judges of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phybench.errors import ConfigError
from phybench.plugins.contracts import BINARY, LIKERT, Scale
from phybench.prompts.tables import MODEL_COLUMNS, PROMPT_COLUMNS, column, optional_column
from phybench.runs.cells import Run

LABEL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sa": ("sa", "human_sa", "majority_sa"),
    "pc": ("pc", "human_pc", "majority_pc"),
}
MEASURES = ("sa", "pc", "joint")


@dataclass(frozen=True, slots=True)
class ScoredClips:
    """One scorer's numbers for clips in a common order.

    Args:
        name: The scorer.
        scale: How its numbers read.
        sa: Shape (n,), NaN where not scored.
        pc: Likewise.
    """

    name: str
    scale: Scale
    sa: NDArray[np.float64]
    pc: NDArray[np.float64]

    def success(self, measure: str) -> NDArray[np.float64]:
        """Success on ``sa``, ``pc`` or ``joint`` as 1 and 0, NaN where not scored."""
        parts = {"sa": (self.sa,), "pc": (self.pc,), "joint": (self.sa, self.pc)}[measure]
        passed = np.all([part >= self.scale.success for part in parts], axis=0)
        known = np.all([np.isfinite(part) for part in parts], axis=0)
        return np.where(known, passed.astype(np.float64), np.nan)

    def values(self, measure: str) -> NDArray[np.float64]:
        """Scores on ``sa`` or ``pc``; for ``joint`` the lower of the two (both must succeed)."""
        if measure == "joint":
            return np.asarray(np.fmin(self.sa, self.pc) + 0 * (self.sa + self.pc))
        return self.sa if measure == "sa" else self.pc


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """A judge and people on the same clips.

    Args:
        judge: The judge's scores.
        human: The people's.
        prompts: Length n, prompt of each clip.
        generators: Length n, generator of each clip.
    """

    judge: ScoredClips
    human: ScoredClips
    prompts: tuple[str, ...]
    generators: tuple[str, ...]


def from_run(run: Run, judge: str, human: str) -> LabelledScores:
    """Two judges of one run, one of which stands for people (``labels``, ``oracle``).

    Raises:
        ConfigError: If the run lacks one of them.
    """
    names = [each["name"] for each in run.header["plugins"]["judge"]]
    for name in (judge, human):
        if name not in names:
            raise ConfigError(
                f"Expected a judge `{name}` in {str(run.folder)!r}, but it has {', '.join(names)}."
            )
    arms = [name[:2] for name in run.cells if name[2] == judge]
    shape = run.cells[*arms[0], judge].status.shape
    prompts = np.repeat(np.array(run.prompt_ids, dtype=object), shape[1])
    generators = [f"{refiner} × {generator}" for refiner, generator in arms]
    return LabelledScores(
        _stacked(run, arms, judge),
        _stacked(run, arms, human),
        tuple(str(name) for _ in arms for name in prompts),
        tuple(name for name in generators for _ in range(len(prompts))),
    )


def _stacked(run: Run, arms: Sequence[tuple[str, str]], judge: str) -> ScoredClips:
    cells = [run.cells[*arm, judge] for arm in arms]
    sa, pc = (
        np.concatenate([getattr(cell, part).ravel() for cell in cells]) for part in ("sa", "pc")
    )
    return ScoredClips(judge, cells[0].scale, sa, pc)


def human_labels(rows: Sequence[Mapping[str, Any]], path: Path) -> ScoredClips:
    """The people's scores in a table; the scale is 1..5, or 0/1 if no label is above 1.

    Raises:
        ConfigError: If a column is missing or a label is not on either scale.
    """
    sa, pc = (_labels(rows, names, path) for names in LABEL_COLUMNS.values())
    known = np.concatenate([sa, pc])
    known = known[np.isfinite(known)]
    if not len(known):
        raise ConfigError(f"Expected labels in {str(path)!r}, but all are empty.")
    if set(np.unique(known)) == {1.0}:
        raise ConfigError(
            f"All labels in {str(path)!r} are 1, which may be the lowest of 1..5 or the highest "
            "of 0/1. Add clips with other labels."
        )
    scale = BINARY if known.max() <= 1 else LIKERT
    if known.min() < scale.low or known.max() > scale.high:
        raise ConfigError(
            f"Expected labels in {path.name!r} in {scale.low:g}..{scale.high:g}, but they range "
            f"from {known.min():g} to {known.max():g}."
        )
    return ScoredClips("people", scale, sa, pc)


def _labels(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], path: Path
) -> NDArray[np.float64]:
    name = column(rows, names, path)
    return np.array([_number(row[name], name, number, path) for number, row in enumerate(rows, 1)])


def _number(value: Any, name: str, number: int, path: Path) -> float:
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected a number in `{name}`, row {number} of {str(path)!r}, but got {value!r}."
        ) from error


def judge_scores(name: str, scale: Scale, rows: Sequence[Mapping[str, Any]]) -> ScoredClips:
    """A judge's scores in the rows that ``phybench score`` makes."""
    sa, pc = (
        np.array([float(row[part]) if row[part] != "" else math.nan for row in rows])
        for part in ("sa", "pc")
    )
    return ScoredClips(name, scale, sa, pc)


def names_in(rows: Sequence[Mapping[str, Any]], path: Path) -> tuple[list[str], list[str]]:
    """Prompt and generator of each row; one generator if the table names none."""
    prompt = column(rows, PROMPT_COLUMNS, path)
    model = optional_column(rows, MODEL_COLUMNS)
    prompts = [str(row[prompt]) for row in rows]
    return prompts, [str(row[model]) if model else "all clips" for row in rows]
