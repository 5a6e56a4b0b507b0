"""Is a judge still judging: can its replies be read, and do its scores still vary?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from phybench.gate.baseline import Baseline, Frozen, Policy
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.runs.items import ItemKey
from phybench.statistics.rates import wilson

MIN_SCORES = 50
"""Fewer scores say nothing about a distribution."""


def health(baseline: Baseline, items: Mapping[ItemKey, Frozen]) -> list[GateFinding]:
    """Check every judge's failures and score distributions.

    A narrow distribution that the baseline already had is said and not failed: the gate looks for
    change.
    """
    found = []
    for judge in baseline.header["plugins"]["judge"]:
        name = judge["name"]
        found.append(_failures(name, items, baseline.policy))
        for measure in ("sa", "pc"):
            before = _values(name, measure, baseline.items)
            after = _values(name, measure, items)
            found.append(_spread(f"{name}: spread of {measure}", before, after, baseline.policy))
    return found


def _failures(judge: str, items: Mapping[ItemKey, Frozen], policy: Policy) -> GateFinding:
    states = [item.scores[judge]["status"] for item in items.values() if judge in item.scores]
    failed = states.count("failed")
    name = f"{judge}: failed judgements"
    if not states:
        return GateFinding(
            "health", name, CheckOutcome.BLOCKED, "The judge was asked about no clip."
        )
    # The lower bound keeps one unlucky reply among fifty from failing a build.
    bound = wilson(failed, len(states), 1 - 2 * policy.alpha).low
    outcome = CheckOutcome.FAIL if bound > policy.parse_failures else CheckOutcome.OK
    message = (
        f"{failed} of {len(states)} judgements failed; the share is at least {100 * bound:.1f} %, "
        f"allowed are {100 * policy.parse_failures:g} %."
    )
    return GateFinding(
        "health", name, outcome, message, {"failed": failed, "n": len(states), "low": bound}
    )


def _values(judge: str, measure: str, items: Mapping[ItemKey, Frozen]) -> list[float]:
    rows = (item.scores[judge] for item in items.values() if judge in item.scores)
    return [row[measure] for row in rows if row["status"] == "scored"]


def _spread(name: str, before: list[float], after: list[float], policy: Policy) -> GateFinding:
    if len(after) < MIN_SCORES:
        message = f"{len(after)} scores are too few; {MIN_SCORES} are needed."
        return GateFinding("health", name, CheckOutcome.SKIPPED, message)
    bits, mode = entropy_bits(after), modal_share(after)
    numbers = {"entropy_bits": bits, "modal_share": mode, "n": len(after)}
    text = f"Entropy {bits:.2f} bit, most frequent score {100 * mode:.0f} %"
    if not _narrow(after, policy):
        return GateFinding("health", name, CheckOutcome.OK, f"{text}.", numbers)
    limits = f"limits: {policy.min_entropy:g} bit, {100 * policy.max_mode:g} %"
    if _narrow(before, policy):
        message = f"{text} ({limits}): hardly varies, as in the baseline."
        return GateFinding("health", name, CheckOutcome.UNDECIDED, message, numbers)
    return GateFinding("health", name, CheckOutcome.FAIL, f"{text} ({limits}).", numbers)


def _narrow(values: list[float], policy: Policy) -> bool:
    if not values:
        return True
    return entropy_bits(values) < policy.min_entropy or modal_share(values) > policy.max_mode


def entropy_bits(values: list[float]) -> float:
    """Shannon entropy of the scores' frequencies, in bits."""
    shares = np.array(list(Counter(values).values())) / len(values)
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def modal_share(values: list[float]) -> float:
    """Share of the most frequent score."""
    return max(Counter(values).values()) / len(values)
