"""Agreement of a judge with people on the same clips, with intervals over prompts.

Every metric is a function of the contingency table of judge and human scores, so the bootstrap over
prompts resamples tables, and all resamples are computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phybench.plugins.contracts import Scale
from phybench.statistics.interval import Interval, undefined

RESAMPLES = 1_000
METRICS = ("pearson", "spearman", "kendall", "kappa", "auc", "accuracy")
_CHUNK = 4_000_000
_FEWEST_PROMPTS = 10


@dataclass(frozen=True, slots=True)
class AgreementEstimate:
    """A number with its interval; NaN where it is not defined (constant scores)."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a judge agrees with people on one measure.

    Args:
        metrics: By name: ``pearson``, ``spearman``, ``kendall`` (tau-b), ``kappa`` (quadratic
            weights on equal scales, else of success), ``auc`` (of human success by the judge's
            score) and ``accuracy`` (share of clips on whose success both agree).
        confusion: By (judge succeeds, human succeeds): number of clips.
        n: Clips with both scores.
        prompts: Prompts they come from.
        judge_rate: Success rate by the judge.
        human_rate: Success rate by people on the same clips.
    """

    metrics: Mapping[str, AgreementEstimate]
    confusion: Mapping[tuple[bool, bool], int]
    n: int
    prompts: int
    judge_rate: float
    human_rate: float


def agreement(
    judge: ArrayLike,
    human: ArrayLike,
    prompts: ArrayLike,
    judge_scale: Scale,
    human_scale: Scale,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Compare two scorers of the same clips.

    Args:
        judge: Shape (n,), NaN where not scored.
        human: Shape (n,), likewise.
        prompts: Shape (n,), prompt of each clip; the unit of resampling.
        judge_scale: Scale of the judge.
        human_scale: Scale of the people.
        level: Two-sided confidence level.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If no clip has both scores.
    """
    first, second = np.asarray(judge, float), np.asarray(human, float)
    both = np.isfinite(first) & np.isfinite(second)
    if not both.any():
        raise ValueError("Expected clips with a judge's and a human score, but there is none.")
    first, second = first[both], second[both]
    _, groups = np.unique(np.asarray(prompts)[both], return_inverse=True)
    cells = _Cells.of(first, second, groups)
    bars = (judge_scale.success, human_scale.success)
    same = judge_scale == human_scale
    observed = _metrics(cells.tables(np.ones((1, cells.prompts))), cells, bars, same=same)
    drawn = _resampled(cells, bars, same=same, seed=seed)
    passed, wanted = first >= bars[0], second >= bars[1]
    return Agreement(
        {
            name: AgreementEstimate(
                float(observed[name][0]), _interval(drawn[name], level, cells.prompts)
            )
            for name in METRICS
        },
        {
            (a, b): int(((passed == a) & (wanted == b)).sum())
            for a in (True, False)
            for b in (True, False)
        },
        len(first),
        cells.prompts,
        float(passed.mean()),
        float(wanted.mean()),
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Clips sorted into (judge value, human value) cells, by prompt."""

    judge: NDArray[np.float64]
    human: NDArray[np.float64]
    group: NDArray[np.int64]
    cell: NDArray[np.int64]
    prompts: int

    @classmethod
    def of(
        cls, judge: NDArray[np.float64], human: NDArray[np.float64], groups: NDArray[np.int64]
    ) -> _Cells:
        rows, u = np.unique(judge, return_inverse=True)
        columns, v = np.unique(human, return_inverse=True)
        return cls(rows, columns, groups, u * len(columns) + v, int(groups.max()) + 1)

    def tables(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tables of shape (B, U, V) for prompt weights of shape (B, P)."""
        size = len(self.judge) * len(self.human)
        found = np.empty((len(weights), size))
        for number, row in enumerate(weights):
            found[number] = np.bincount(self.cell, row[self.group], size)
        return found.reshape(len(weights), len(self.judge), len(self.human))


def _resampled(
    cells: _Cells, bars: tuple[float, float], *, same: bool, seed: int
) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // (len(cells.judge) * len(cells.human) + cells.prompts))
    parts: list[dict[str, NDArray[np.float64]]] = []
    for start in range(0, RESAMPLES, rows):
        take = min(rows, RESAMPLES - start)
        even = np.full(cells.prompts, 1 / cells.prompts)
        weights = rng.multinomial(cells.prompts, even, size=take).astype(float)
        parts.append(_metrics(cells.tables(weights), cells, bars, same=same))
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def _interval(draws: NDArray[np.float64], level: float, prompts: int) -> Interval:
    known = draws[np.isfinite(draws)]
    if prompts < _FEWEST_PROMPTS or len(known) < RESAMPLES / 2:
        return undefined(level, "too few prompts, or constant scores")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "percentile bootstrap over prompts")


def _metrics(
    tables: NDArray[np.float64], cells: _Cells, bars: tuple[float, float], *, same: bool
) -> dict[str, NDArray[np.float64]]:
    by_judge, by_human = tables.sum(axis=2), tables.sum(axis=1)
    total = by_judge.sum(axis=1)
    passed, wanted = cells.judge >= bars[0], cells.human >= bars[1]
    agree = tables[:, passed][:, :, wanted].sum(axis=(1, 2)) + tables[:, ~passed][
        :, :, ~wanted
    ].sum(axis=(1, 2))
    x, y = (
        np.broadcast_to(cells.judge, by_judge.shape),
        np.broadcast_to(cells.human, by_human.shape),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "pearson": _correlation(tables, x, y),
            "spearman": _correlation(tables, _midranks(by_judge), _midranks(by_human)),
            "kendall": _kendall(tables),
            "kappa": (
                _quadratic_kappa(tables, cells)
                if same
                else _success_kappa(tables, passed, wanted, agree / total)
            ),
            "auc": _auc(tables, wanted),
            "accuracy": agree / total,
        }


def _correlation(
    tables: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    by_x, by_y = tables.sum(axis=2), tables.sum(axis=1)
    total = by_x.sum(axis=1)
    dx = x - ((by_x * x).sum(axis=1) / total)[:, None]
    dy = y - ((by_y * y).sum(axis=1) / total)[:, None]
    covariance = np.einsum("bu,buv,bv->b", dx, tables, dy)
    spread = np.sqrt((by_x * dx**2).sum(axis=1) * (by_y * dy**2).sum(axis=1))
    return np.asarray(covariance / np.where(spread > 1e-9, spread, math.nan))


def _midranks(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts.cumsum(axis=1) - (counts - 1) / 2)


def _kendall(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tau-b: concordant less discordant pairs, corrected for ties on either side."""
    below = tables.cumsum(axis=1) - tables
    lower_left = below.cumsum(axis=2) - below
    lower_right = below.sum(axis=2, keepdims=True) - below.cumsum(axis=2)
    surplus = (tables * (lower_left - lower_right)).sum(axis=(1, 2))
    by_x, by_y = tables.sum(axis=2), tables.sum(axis=1)
    total = by_x.sum(axis=1)
    pairs = total * (total - 1) / 2
    untied_x = pairs - (by_x * (by_x - 1) / 2).sum(axis=1)
    untied_y = pairs - (by_y * (by_y - 1) / 2).sum(axis=1)
    return np.asarray(surplus / np.sqrt(untied_x * untied_y))


def _quadratic_kappa(tables: NDArray[np.float64], cells: _Cells) -> NDArray[np.float64]:
    distance = (cells.judge[:, None] - cells.human[None, :]) ** 2
    by_x, by_y = tables.sum(axis=2), tables.sum(axis=1)
    expected = np.einsum("bu,uv,bv->b", by_x, distance, by_y) / by_x.sum(axis=1)
    return np.asarray(1 - (tables * distance).sum(axis=(1, 2)) / expected)


def _success_kappa(
    tables: NDArray[np.float64],
    passed: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    agree: NDArray[np.float64],
) -> NDArray[np.float64]:
    total = tables.sum(axis=(1, 2))
    a = tables[:, passed].sum(axis=(1, 2)) / total
    b = tables[:, :, wanted].sum(axis=(1, 2)) / total
    chance = a * b + (1 - a) * (1 - b)
    return np.asarray((agree - chance) / (1 - chance))


def _auc(tables: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    good, bad = tables[:, :, wanted].sum(axis=2), tables[:, :, ~wanted].sum(axis=2)
    higher = bad.cumsum(axis=1) - bad / 2
    return np.asarray((good * higher).sum(axis=1) / (good.sum(axis=1) * bad.sum(axis=1)))
