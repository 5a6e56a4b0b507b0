"""The three levels of a gate: the parser, the judge on golden clips, the arms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phybench.gate.baseline import Baseline, Frozen, Policy
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.plugins.abilities import RereadsReplies
from phybench.plugins.contracts import Failure, Score
from phybench.runs.items import ItemKey
from phybench.statistics.mcnemar import sign_flip_test
from phybench.statistics.multiplicity import holm
from phybench.statistics.paired import bootstrap_ratio
from phybench.statistics.power import mcnemar_power

_SHOWN = 3
MEASURES = ("joint", "sa", "pc", "coverage")


def parser_level(baseline: Baseline, judge: str, rereader: RereadsReplies | None) -> GateFinding:
    """Read the frozen raw replies again: every number must come out as it did.

    Args:
        baseline: The frozen run.
        judge: Name of the judge.
        rereader: Reads its replies as it would now; ``None`` if it cannot.
    """
    name = f"{judge}: frozen replies"
    if rereader is None:
        message = "This judge has no `reread`: its scores are not read out of replies."
        return GateFinding("parser", name, CheckOutcome.SKIPPED, message)
    changed, read = [], 0
    for key, item in baseline.items.items():
        score = item.scores.get(judge)
        if score is None or not score["reply"]:
            continue
        read += 1
        before = (score["status"], score["sa"], score["pc"])
        after = _read(rereader.reread(score["reply"]))
        if before != after:
            changed.append(f"{_item_name(key)}: {_shown(before)} → {_shown(after)}")
    if not read:
        return GateFinding("parser", name, CheckOutcome.SKIPPED, "The baseline has no raw reply.")
    numbers = {"replies": read, "changed": len(changed)}
    if changed:
        message = f"{len(changed)} of {read} frozen replies are read differently: {_few(changed)}"
        return GateFinding("parser", name, CheckOutcome.FAIL, message, numbers)
    message = f"All {read} frozen replies are read as before."
    return GateFinding("parser", name, CheckOutcome.OK, message, numbers)


def _read(score: Score | Failure) -> tuple[str, float | None, float | None]:
    if isinstance(score, Failure):
        return "failed", None, None
    return ("unscored" if score.sa is None else "scored"), score.sa, score.pc


def judge_level(
    baseline: Baseline, judge: str, items: Mapping[ItemKey, Frozen], *, due: bool
) -> GateFinding:
    """Compare the judge's scores on clips whose bytes did not change.

    Args:
        baseline: The frozen run.
        judge: Name of the judge.
        items: The items as they are now.
        due: Whether the check must be possible (the judge's fingerprint changed), so that having
            no unchanged clip blocks the gate.
    """
    name = f"{judge}: golden clips"
    pairs = [
        (key, before.scores[judge], items[key].scores[judge])
        for key, before in baseline.items.items()
        if judge in before.scores
        and key in items
        and judge in items[key].scores
        and items[key].clip == before.clip
    ]
    if not pairs:
        message = "No clip has the bytes it had, so the judge cannot be told from the generator."
        return GateFinding(
            "judge", name, CheckOutcome.BLOCKED if due else CheckOutcome.SKIPPED, message
        )
    tolerance = baseline.policy.judge_tolerance
    if tolerance:
        return _shift(name, pairs, tolerance, baseline.policy.alpha)
    changed = [
        f"{_item_name(key)}: {_shown(_state(before))} → {_shown(_state(after))}"
        for key, before, after in pairs
        if _state(before) != _state(after)
    ]
    numbers = {"clips": len(pairs), "changed": len(changed)}
    if changed:
        message = f"{len(changed)} of {len(pairs)} golden clips are scored anew: {_few(changed)}"
        return GateFinding("judge", name, CheckOutcome.FAIL, message, numbers)
    message = f"All {len(pairs)} golden clips are scored as before."
    return GateFinding("judge", name, CheckOutcome.OK, message, numbers)


_ScorePair = tuple[ItemKey, Mapping[str, Any], Mapping[str, Any]]


def _shift(name: str, pairs: Sequence[_ScorePair], tolerance: float, alpha: float) -> GateFinding:
    """For judges that are not deterministic: is the mean shift within the tolerance?"""
    outcome = CheckOutcome.OK
    parts: list[str] = []
    numbers: dict[str, float] = {}
    for measure in ("sa", "pc"):
        shifts = _prompt_sums(pairs, measure)
        if not shifts:
            return GateFinding(
                "judge", name, CheckOutcome.BLOCKED, "No golden clip is scored on both sides."
            )
        interval, _ = bootstrap_ratio(
            [total for total, _ in shifts], [size for _, size in shifts], level=1 - alpha
        )
        numbers |= {f"{measure}_low": interval.low, f"{measure}_high": interval.high}
        parts.append(f"{measure} moved by [{interval.low:+.2f}, {interval.high:+.2f}]")
        if interval.low > tolerance or interval.high < -tolerance:
            outcome = CheckOutcome.FAIL
        elif max(-interval.low, interval.high) > tolerance and outcome is CheckOutcome.OK:
            outcome = CheckOutcome.UNDECIDED
    message = (
        f"{len(pairs)} golden clips: {', '.join(parts)} ({100 * (1 - alpha):g} % intervals; "
        f"tolerance ±{tolerance:g})."
    )
    return GateFinding("judge", name, outcome, message, numbers)


def _prompt_sums(pairs: Sequence[_ScorePair], measure: str) -> list[tuple[float, int]]:
    found: dict[str, tuple[float, int]] = {}
    for key, before, after in pairs:
        if before[measure] is not None and after[measure] is not None:
            total, size = found.get(key[0], (0.0, 0))
            found[key[0]] = (total + after[measure] - before[measure], size + 1)
    return list(found.values())


def _state(score: Mapping[str, Any]) -> tuple[str, float | None, float | None]:
    return score["status"], score["sa"], score["pc"]


def _shown(state: tuple[str, float | None, float | None]) -> str:
    status, sa, pc = state
    return status if sa is None else f"SA {sa:g} PC {pc:g}"


def _item_name(key: ItemKey) -> str:
    prompt, k, refiner, generator = key
    return f"{prompt}/{k} {refiner} × {generator}"


def _few(changed: Sequence[str]) -> str:
    rest = len(changed) - _SHOWN
    return "; ".join(changed[:_SHOWN]) + (f"; and {rest} more." if rest > 0 else ".")


@dataclass(frozen=True, slots=True)
class _ArmTest:
    name: str
    totals: NDArray[np.float64]
    sizes: NDArray[np.float64]
    gaps: NDArray[np.float64]

    @property
    def p_worse(self) -> float:
        """One-sided exact sign-flip test that the arm got worse."""
        p = sign_flip_test(self.totals) / 2
        return p if self.totals.sum() < 0 else 1 - p


def arm_level(baseline: Baseline, items: Mapping[ItemKey, Frozen]) -> list[GateFinding]:
    """Test that no arm lost more than the margin, paired by prompt and repeat.

    A drop is drift when the exact test shows that there is one (Holm over all arms and measures)
    and the interval does not show that it is smaller than the margin.
    """
    tests = _arm_tests(baseline, items)
    if not tests:
        message = "The run shares no judged item with the baseline."
        return [GateFinding("arm", "arms", CheckOutcome.BLOCKED, message)]
    adjusted = holm([test.p_worse for test in tests])
    return [
        _arm_finding(test, float(p), baseline.policy, len(tests))
        for test, p in zip(tests, adjusted, strict=True)
    ]


def _arm_tests(baseline: Baseline, items: Mapping[ItemKey, Frozen]) -> list[_ArmTest]:
    bars = {
        judge["name"]: judge["scale"]["success"] for judge in baseline.header["plugins"]["judge"]
    }
    common = [key for key in baseline.items if key in items]
    arms = sorted({key[2:] for key in common})
    found = []
    for refiner, generator in arms:
        keys = [key for key in common if key[2:] == (refiner, generator)]
        for judge, bar in bars.items():
            for measure in MEASURES:
                reader = _reader(judge, measure, bar)
                gaps = np.array([reader(items[key]) - reader(baseline.items[key]) for key in keys])
                name = f"{refiner} × {generator}, {judge}: {measure}"
                if np.isfinite(gaps).any():
                    found.append(_by_prompt(name, keys, gaps))
    return found


def _reader(judge: str, measure: str, bar: float) -> Callable[[Frozen], float]:
    def read(item: Frozen) -> float:
        score = item.scores.get(judge, {"status": "failed"})
        if measure == "coverage":
            return float(score["status"] == "scored")
        if score["status"] != "scored":
            return math.nan
        parts = ("sa", "pc") if measure == "joint" else (measure,)
        return float(all(score[part] >= bar for part in parts))

    return read


def _by_prompt(name: str, keys: Sequence[ItemKey], gaps: NDArray[np.float64]) -> _ArmTest:
    prompts, at = np.unique([key[0] for key in keys], return_inverse=True)
    known = np.isfinite(gaps)
    totals = np.bincount(at[known], gaps[known], len(prompts)).astype(np.float64)
    sizes = np.bincount(at[known], minlength=len(prompts)).astype(np.float64)
    return _ArmTest(name, totals[sizes > 0], sizes[sizes > 0], gaps[known])


def _arm_finding(test: _ArmTest, p: float, policy: Policy, family: int) -> GateFinding:
    interval, _ = bootstrap_ratio(test.totals, test.sizes, level=1 - 2 * policy.alpha)
    change = float(test.totals.sum() / test.sizes.sum())
    churn = 2 * float(min((test.gaps > 0).sum(), (test.gaps < 0).sum())) / len(test.gaps)
    # A drop within the margin is never an alarm, however surely it is seen.
    alpha = policy.alpha / family
    seen = detectable_drop(len(test.totals), round(churn, 2), alpha, margin=policy.margin)
    outcome, verdict = _verdict(interval.low > -policy.margin, p <= policy.alpha, policy.margin)
    numbers = {
        "change": change,
        "low": interval.low,
        "high": interval.high,
        "p_adjusted": p,
        "items": len(test.gaps),
        "prompts": len(test.totals),
        "detectable_drop": None if math.isnan(seen) else seen,
    }
    power = (
        "No drop can be seen at this size."
        if math.isnan(seen)
        else f"A drop of {100 * seen:.1f} points or more is seen with 80 % power."
    )
    message = (
        f"{verdict}: {100 * change:+.1f} points [{100 * interval.low:+.1f}, "
        f"{100 * interval.high:+.1f}] on {len(test.totals)} prompts, adjusted p {p:.2g}. {power}"
    )
    return GateFinding("arm", test.name, outcome, message, numbers)


def _verdict(held: bool, dropped: bool, margin: float) -> tuple[CheckOutcome, str]:
    points = f"{100 * margin:g} points"
    if held:
        return CheckOutcome.OK, f"Not worse by {points} or more"
    if dropped:
        return CheckOutcome.FAIL, "Worse"
    return CheckOutcome.UNDECIDED, f"No drop shown, but one of {points} is not excluded"


@cache
def detectable_drop(
    prompts: int, churn: float, alpha: float, *, margin: float = 0.0, power: float = 0.8
) -> float:
    """Smallest drop of a rate that the arm check sees.

    Args:
        prompts: Number of prompts, counted as independent pairs (several seeds see more).
        churn: Share of items whose outcome flips either way without any drop.
        alpha: One-sided level after correction for the number of checks.
        margin: Smaller drops are tolerated.
        power: Wanted chance of an alarm.

    Returns:
        The drop in margin..1 - churn, to 1e-4; NaN if none is seen.
    """

    def alarm(drop: float) -> float:
        return mcnemar_power(prompts, drop, min(1.0, churn + drop), 2 * alpha)

    low, high = margin, 1.0 - churn
    if high <= low or alarm(high) < power:
        return math.nan
    while high - low > 1e-4:
        middle = (low + high) / 2
        if alarm(middle) >= power:
            high = middle
        else:
            low = middle
    return high


def refinement_changes(baseline: Baseline, items: Mapping[ItemKey, Frozen]) -> list[GateFinding]:
    """Say for which refiners the golden prompts are refined differently now; never a failure."""
    found = []
    for refiner in dict.fromkeys(key[2] for key in baseline.items):
        texts = {
            key[:3]: (before.refinement, items[key].refinement)
            for key, before in baseline.items.items()
            if key[2] == refiner and key in items
        }
        changed = sum(before != after for before, after in texts.values())
        message = f"{changed} of {len(texts)} refinements differ from the baseline's."
        numbers = {"refinements": len(texts), "changed": changed}
        found.append(GateFinding("refinement", refiner, CheckOutcome.OK, message, numbers))
    return found
