"""The calibration of a judge: computed once, shown as a page, written as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phybench.calibrate.agreement import METRICS, Agreement, AgreementEstimate, agreement
from phybench.calibrate.prediction_powered import CorrectedRate, corrected_rate
from phybench.calibrate.ranking import Ranking, ranking
from phybench.calibrate.scores import MEASURES, LabelledScores
from phybench.errors import ConfigError
from phybench.publish.text import escape_markdown
from phybench.statistics.interval import Interval

_LABELS = {
    "pearson": "Pearson r",
    "spearman": "Spearman ρ",
    "kendall": "Kendall τ-b",
    "kappa": "κ (quadratic where scales agree)",
    "auc": "ROC-AUC of human success",
    "accuracy": "agreement on success",
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people.

    Args:
        judge: The judge.
        human: Who stands for people.
        agreements: By measure (``sa``, ``pc``, ``joint``).
        rankings: By measure; empty with one generator.
        corrected: Joint rate of each generator on the human scale, where only some of its clips
            are labelled.
    """

    judge: str
    human: str
    agreements: Mapping[str, Agreement]
    rankings: Mapping[str, Ranking]
    corrected: Mapping[str, CorrectedRate]


def calibrate_judge(data: LabelledScores, *, level: float = 0.95, seed: int = 0) -> Calibration:
    """Compute the calibration of a judge.

    Raises:
        ConfigError: If no clip has both a judge's and a human score.
    """
    try:
        agreements = {
            measure: agreement(
                data.judge.values(measure),
                data.human.values(measure),
                data.prompts,
                data.judge.scale,
                data.human.scale,
                level=level,
                seed=seed,
            )
            for measure in MEASURES
        }
    except ValueError as error:
        raise ConfigError(str(error)) from error
    several = len(set(data.generators)) > 1
    rankings = {
        measure: ranking(
            data.judge.success(measure),
            data.human.success(measure),
            data.prompts,
            data.generators,
            level=level,
            seed=seed,
        )
        for measure in MEASURES
        if several
    }
    corrected = _corrected(data, level)
    return Calibration(data.judge.name, data.human.name, agreements, rankings, corrected)


def _corrected(data: LabelledScores, level: float) -> dict[str, CorrectedRate]:
    judge, human = data.judge.success("joint"), data.human.success("joint")
    found = {}
    for name in dict.fromkeys(data.generators):
        at = np.flatnonzero(np.array(data.generators) == name)
        if not np.isfinite(human[at]).all():
            prompts = [data.prompts[each] for each in at]
            labels, scores = (_grid(values[at], prompts) for values in (human, judge))
            found[name] = corrected_rate(labels, scores, level)
    return found


def _grid(values: NDArray[np.float64], prompts: Sequence[str]) -> NDArray[np.float64]:
    """One row per prompt, one column per clip of it, padded with NaN."""
    clips: dict[str, list[float]] = {}
    for prompt, value in zip(prompts, values, strict=True):
        clips.setdefault(prompt, []).append(float(value))
    widest = max(map(len, clips.values()))
    return np.array([row + [math.nan] * (widest - len(row)) for row in clips.values()])


def calibration_markdown(found: Calibration) -> str:
    """The calibration page."""
    first = found.agreements["joint"]
    lines = [
        f"# Calibration of `{escape_markdown(found.judge)}` against {escape_markdown(found.human)}",
        "",
        f"{first.n} clips of {first.prompts} prompts; 95 % intervals by bootstrap over prompts.",
        "",
        "| agreement | " + " | ".join(MEASURES) + " |",
        "|---|" + "---|" * len(MEASURES),
    ]
    for name in METRICS:
        cells = (_estimate(found.agreements[measure].metrics[name]) for measure in MEASURES)
        lines.append(f"| {_LABELS[name]} | {' | '.join(cells)} |")
    rates = [found.agreements[measure] for measure in MEASURES]
    lines += [
        "| success by the judge | " + " | ".join(_percent(one.judge_rate) for one in rates) + " |",
        "| success by people | " + " | ".join(_percent(one.human_rate) for one in rates) + " |",
        "",
        "For joint the score is the lower of SA and PC.",
        "",
        *_confusion(first),
    ]
    if found.rankings:
        lines += _ranking(found.rankings["joint"])
    if found.corrected:
        lines += _corrections(found.corrected)
    return "\n".join([*lines, ""])


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _estimate(estimate: AgreementEstimate) -> str:
    if math.isnan(estimate.value):
        return "–"
    return f"{estimate.value:.2f}{_ends(estimate.interval, 1, 2)}"


def _ends(interval: Interval, factor: float, digits: int) -> str:
    if math.isnan(interval.low):
        return ""
    return f" [{factor * interval.low:.{digits}f}, {factor * interval.high:.{digits}f}]"


def _confusion(one: Agreement) -> list[str]:
    cells = one.confusion
    return [
        "| joint | people: success | people: failure |",
        "|---|---|---|",
        f"| judge: success | {cells[True, True]} | {cells[True, False]} |",
        f"| judge: failure | {cells[False, True]} | {cells[False, False]} |",
        "",
    ]


def _ranking(one: Ranking) -> list[str]:
    lines = [
        "## Joint rate by generator",
        "",
        "| generator | people % | judge % |",
        "|---|---|---|",
    ]
    for name, human, judge in zip(one.generators, one.human, one.judge, strict=True):
        cells = (f"{100 * rate.rate:.1f}{_ends(rate.interval, 100, 1)}" for rate in (human, judge))
        lines.append(f"| {escape_markdown(name)} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Order of generators: Spearman {_estimate(one.spearman)}, Kendall "
        f"{_estimate(one.kendall)}. Of {one.separated} pairs that people tell apart, the judge "
        f"orders {one.same_order} the same way.",
        "",
    ]


def _corrections(found: Mapping[str, CorrectedRate]) -> list[str]:
    lines = [
        "## Joint rate on the human scale (prediction-powered)",
        "",
        "| generator | corrected % | labels alone % | judge alone % | weight | labelled |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        value = "–" if math.isnan(one.rate) else f"{100 * one.rate:.1f}"
        alone = f"{100 * one.labels_only.rate:.1f}{_ends(one.labels_only.interval, 100, 1)}"
        lines.append(
            f"| {escape_markdown(name)} | {value}{_ends(one.interval, 100, 1)} | {alone} | "
            f"{100 * one.judge_only.rate:.1f} | {one.weight:.2f} | "
            f"{one.labelled} of {one.labelled + one.unlabelled} |"
        )
    return [
        *lines,
        "",
        "Right only if the labelled clips are a random sample of each generator's.",
        "",
    ]


def calibration_json(found: Calibration) -> dict[str, Any]:
    """The calibration as JSON values; ``None`` where there is no number."""
    return {
        "schema_version": 1,
        "judge": found.judge,
        "human": found.human,
        "agreement": {name: _agreement_row(one) for name, one in found.agreements.items()},
        "ranking": {name: _ranking_row(one) for name, one in found.rankings.items()},
        "corrected": {name: _corrected_row(one) for name, one in found.corrected.items()},
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _interval_row(interval: Interval) -> dict[str, Any]:
    ends = {"low": _number(interval.low), "high": _number(interval.high)}
    return {**ends, "level": interval.level, "method": interval.method}


def _estimate_row(one: AgreementEstimate) -> dict[str, Any]:
    return {"value": _number(one.value), **_interval_row(one.interval)}


def _agreement_row(one: Agreement) -> dict[str, Any]:
    return {
        **{name: _estimate_row(estimate) for name, estimate in one.metrics.items()},
        "n": one.n,
        "prompts": one.prompts,
        "judge_rate": one.judge_rate,
        "human_rate": one.human_rate,
        "confusion": [
            {"judge": judge, "human": human, "clips": count}
            for (judge, human), count in one.confusion.items()
        ],
    }


def _ranking_row(one: Ranking) -> dict[str, Any]:
    return {
        "spearman": _estimate_row(one.spearman),
        "kendall": _estimate_row(one.kendall),
        "separated": one.separated,
        "same_order": one.same_order,
        "generators": [
            {
                "name": name,
                "human": {"rate": _number(human.rate), **_interval_row(human.interval)},
                "judge": {"rate": _number(judge.rate), **_interval_row(judge.interval)},
            }
            for name, human, judge in zip(one.generators, one.human, one.judge, strict=True)
        ],
    }


def _corrected_row(one: CorrectedRate) -> dict[str, Any]:
    return {
        "rate": _number(one.rate),
        **_interval_row(one.interval),
        "labels_only": {
            "rate": _number(one.labels_only.rate),
            **_interval_row(one.labels_only.interval),
        },
        "judge_only": _number(one.judge_only.rate),
        "weight": round(one.weight, 6),
        "labelled": one.labelled,
        "unlabelled": one.unlabelled,
    }
