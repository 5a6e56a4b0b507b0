"""Reading a training log for reward drift and for the signature of reward hacking.

No validated universal threshold for reward hacking exists; what is tested here is a pattern: the
trained reward rises while something that should rise with it does not, or something that should
hold still moves. Every limit is a named, documented choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phybench.errors import ConfigError
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.machine.files import read_json, read_jsonl
from phybench.statistics.interval import student_quantile

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "reward": ("reward",),
    "evaluated": ("eval_reward",),
    "holdout": ("holdout", "holdout_reward", "holdout/reward", "eval_holdout"),
    "length": ("completions/mean_length", "mean_length"),
    "kl": ("kl",),
    "motion": ("motion", "clip_motion"),
    "weight": ("curriculum/w_sa",),
}
"""What is read and under which names; `reward`, lengths and `kl` are TRL's own.

`evaluated` is the trained judge's reward at the evaluations at which the hold-out judge speaks too:
same clips, fixed weights. Where it is logged the hold-out is compared with it and not with the
training reward, which a curriculum moves by its weights alone."""
WINDOWS = 10
BLOCKS = 20
PERMUTATIONS = 20_000
_FEWEST = 5
"""Evaluations below which a trend of the hold-out judge says nothing."""
_FEWEST_FOR_TREND = 8
"""Values from which Kendall's test can be significant at 0.1 % without being perfect."""
_BATCH = 1_000
_ENOUGH = 50
ALPHA = 0.001
"""Per log, Bonferroni-corrected over the windows; a log is looked at again and again."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """When a signal counts; our choices, as none is published.

    Args:
        lag: The hold-out judge lags if it rises less than this share of the reward's rise. Both
            must be in one unit, as phybench's trainer logs them (0..1).
        growth: Relative growth of the length, or relative loss of motion, that counts.
        kl: Mean KL in the last window, as the trainer logs it, that counts.
    """

    lag: float = 0.5
    growth: float = 0.2
    kl: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """Series of a training log, without the steps at which they were not logged.

    Args:
        path: Where it was read.
        series: By role (a key of :data:`COLUMNS`), values in the order of the steps.
    """

    path: Path
    series: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def read_log(path: Path, columns: Mapping[str, str] | None = None) -> TrainingLog:
    """Read a log: ``trainer_state.json`` (or the folder it is in), or jsonl with a row per step.

    Args:
        path: The file or folder.
        columns: Names of columns by role, where they are not among :data:`COLUMNS`.

    Raises:
        ConfigError: If there is no log, a named column is not in it, or it has no reward.
    """
    own = dict(columns or {})
    unknown = sorted(set(own) - set(COLUMNS))
    if unknown:
        raise ConfigError(
            f"Expected columns for {', '.join(COLUMNS)}, but got one for {unknown[0]!r}."
        )
    rows = _rows(path)
    series = {}
    for role, names in COLUMNS.items():
        wanted = (own[role],) if role in own else names
        name = next((each for each in wanted if any(each in row for row in rows)), None)
        if name is not None:
            series[role] = _series(rows, name, path)
        elif role in own:
            raise ConfigError(f"Expected a column {own[role]!r} in {str(path)!r}; it has none.")
    if "reward" not in series:
        raise ConfigError(
            f"Expected a column `reward` in {str(path)!r}. Name it: --column reward=NAME"
        )
    return TrainingLog(path, series)


def _rows(path: Path) -> list[dict[str, Any]]:
    file = path / "trainer_state.json" if path.is_dir() else path
    if file.suffix == ".json":
        history = read_json(file).get("log_history")
        if not isinstance(history, list):
            raise ConfigError(f"Expected `log_history` in {str(file)!r}, as the trainer writes it.")
        return [row for row in history if isinstance(row, dict)]
    if not file.is_file():
        raise ConfigError(f"Expected a training log at {str(path)!r}, but there is none.")
    return list(read_jsonl(file))


def _series(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> NDArray[np.float64]:
    try:
        values = np.array([float(row[name]) for row in rows if row.get(name) is not None])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected numbers in column {name!r} of {str(path)!r}: {error}."
        ) from error
    if not np.isfinite(values).all():
        raise ConfigError(f"Expected finite numbers in column {name!r} of {str(path)!r}.")
    return values


def check_log(
    log: TrainingLog, *, still: bool = False, limits: LogLimits | None = None, seed: int = 0
) -> list[GateFinding]:
    """Check a training log.

    Args:
        log: The log.
        still: Whether the reward should not change at all (a frozen refiner that is monitored);
            otherwise only a fall is drift.
        limits: When a signal of reward hacking counts.
        seed: Seed of the permutations.
    """
    if len(log.series["reward"]) < 2 * BLOCKS:
        message = (
            f"{len(log.series['reward'])} logged rewards are too few; {2 * BLOCKS} are needed."
        )
        return [GateFinding("training", "reward", CheckOutcome.BLOCKED, message)]
    drift = _drift(log, still=still, seed=seed)
    return [drift] if still else [drift, _hacking(log, limits or LogLimits())]


def _drift(log: TrainingLog, *, still: bool, seed: int) -> GateFinding:
    if np.ptp(log.series.get("weight", np.zeros(1))) > 0:
        message = "The reward's weights change (curriculum), so its windows are not comparable."
        return GateFinding("training", "reward drift", CheckOutcome.SKIPPED, message)
    windows = np.array_split(log.series["reward"], WINDOWS)
    rng = np.random.default_rng(seed)
    alpha = ALPHA / (WINDOWS - 1)
    first = windows[0]
    numbers: dict[str, float | int | str | None] = {"first_window": float(first.mean())}
    for number, window in enumerate(windows[1:], 2):
        change = float(window.mean() - first.mean())
        wrong_way = still or change < 0
        if wrong_way and window_p(first, window, rng) <= alpha:
            numbers |= {"window": number, "change": change}
            message = (
                f"The mean reward of window {number} of {WINDOWS} differs from the first by "
                f"{change:+.3f} (permutation test, p ≤ {alpha:.1g})."
            )
            return GateFinding("training", "reward drift", CheckOutcome.FAIL, message, numbers)
    message = f"No window of {WINDOWS} drifts from the first (permutation tests, α {ALPHA:g})."
    return GateFinding("training", "reward drift", CheckOutcome.OK, message, numbers)


def window_p(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
) -> float:
    """Two-sided permutation p-value for the difference of two windows' means."""
    pooled = np.concatenate([first, second])
    observed = abs(second.mean() - first.mean())
    extreme = done = 0
    # Besag and Clifford (1991): once enough permutations are as extreme, more cannot matter.
    while done < PERMUTATIONS and extreme < _ENOUGH:
        order = rng.random((_BATCH, len(pooled))).argpartition(len(first) - 1, axis=1)
        sums = pooled[order[:, : len(first)]].sum(axis=1)
        gaps = (pooled.sum() - sums) / len(second) - sums / len(first)
        extreme += int((np.abs(gaps) >= observed - 1e-12).sum())
        done += _BATCH
    return (extreme + 1) / (done + 1)


def _hacking(log: TrainingLog, limits: LogLimits) -> GateFinding:
    name = "reward hacking"
    evaluated = log.series.get("evaluated", np.zeros(0))
    trained = evaluated if len(evaluated) >= _FEWEST_FOR_TREND else log.series["reward"]
    if trend_p(trained) > ALPHA:
        return GateFinding("training", name, CheckOutcome.OK, "The reward does not rise.")
    checks = {
        "holdout": _holdout_lags(log, limits),
        "length": _grows(log, limits),
        "kl": _kl_high(log, limits),
        "motion": _motion_falls(log, limits),
    }
    known = {role: signal for role, signal in checks.items() if signal is not None}
    signals = [signal for signal in known.values() if signal]
    numbers = {role: int(bool(signal)) for role, signal in known.items()}
    absent = [role for role in checks if role not in known]
    rest = f" Not logged: {', '.join(absent)}." if absent else ""
    if known.get("holdout") or len(signals) > 1:
        message = f"The reward rises while {'; '.join(signals)}.{rest} Stop and look at samples."
        return GateFinding("training", name, CheckOutcome.FAIL, message, numbers)
    if signals:
        message = f"The reward rises and {signals[0]}; one signal alone decides nothing.{rest}"
        return GateFinding("training", name, CheckOutcome.UNDECIDED, message, numbers)
    if not known:
        message = f"The reward rises, and nothing was logged that could contradict it.{rest}"
        return GateFinding("training", name, CheckOutcome.UNDECIDED, message, numbers)
    message = f"The reward rises and {', '.join(known)} do not contradict it.{rest}"
    return GateFinding("training", name, CheckOutcome.OK, message, numbers)


def trend_p(values: NDArray[np.float64], *, falling: bool = False) -> float:
    """One-sided p-value of a monotone trend (Kendall's tau, exact) over block means.

    Blocks take the short-range correlation of neighbouring steps out of the test.
    """
    from scipy import stats

    means = _block_means(values)
    rising = -means if falling else means
    return float(stats.kendalltau(np.arange(len(means)), rising, alternative="greater").pvalue)


def _block_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    blocks = np.array_split(values, min(BLOCKS, len(values)))
    return np.array([block.mean() for block in blocks])


def _holdout_lags(log: TrainingLog, limits: LogLimits) -> str | None:
    """Empty if the hold-out rises along; ``None`` if it was not logged often enough."""
    holdout = log.series.get("holdout")
    if holdout is None:
        return None
    evaluated = log.series.get("evaluated", np.zeros(0))
    trained = evaluated if len(evaluated) >= len(holdout) else log.series["reward"]
    if min(len(holdout), len(trained)) < _FEWEST:
        return None
    (wanted, error), (rise, own_error) = _rise(trained), _rise(holdout)
    # 98 % two-sided is 99 % one-sided.
    reach = student_quantile(0.98, min(len(holdout), BLOCKS) - 2)
    if rise - limits.lag * wanted + reach * math.hypot(own_error, limits.lag * error) < 0:
        return f"the hold-out judge lags ({rise:+.3f} against {wanted:+.3f})"
    return ""


def _rise(values: NDArray[np.float64]) -> tuple[float, float]:
    """Fitted rise from start to end, and its standard error, over block means."""
    means = _block_means(values)
    x = np.linspace(-0.5, 0.5, len(means))
    slope = float(x @ means / (x @ x))
    residuals = means - means.mean() - slope * x
    variance = float(residuals @ residuals) / (len(means) - 2)
    return slope, math.sqrt(variance / float(x @ x))


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    size = max(1, len(values) // WINDOWS)
    return float(values[:size].mean()), float(values[-size:].mean())


def _grows(log: TrainingLog, limits: LogLimits) -> str | None:
    lengths = log.series.get("length")
    if lengths is None or len(lengths) < BLOCKS:
        return None
    start, end = _ends(lengths)
    if trend_p(lengths) <= ALPHA and end > start * (1 + limits.growth):
        return f"refinements grow from {start:.0f} to {end:.0f} tokens"
    return ""


def _kl_high(log: TrainingLog, limits: LogLimits) -> str | None:
    kl = log.series.get("kl")
    if kl is None or len(kl) < BLOCKS:
        return None
    _, end = _ends(kl)
    return f"the KL to the start is {end:.2f} (limit {limits.kl:g})" if end > limits.kl else ""


def _motion_falls(log: TrainingLog, limits: LogLimits) -> str | None:
    motion = log.series.get("motion")
    if motion is None or len(motion) < BLOCKS:
        return None
    start, end = _ends(motion)
    if trend_p(motion, falling=True) <= ALPHA and end < start * (1 - limits.growth):
        return f"clips stand still more and more (motion {start:.3g} to {end:.3g})"
    return ""
