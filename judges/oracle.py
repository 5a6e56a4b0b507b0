"""The ground truth as a judge: for calibrating and auditing other judges, never for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.machine.digest import code_digest
from phybench.plugins.contracts import Failure, JudgeRequest, PluginInfo, Score
from phybench.tabletop.fingerprint import READING, world_digest

if TYPE_CHECKING:
    from phybench.tabletop.texts.language import Understanding

_BLATANT = frozenset({"vanishes", "falls_upward", "passes_through", "duplicates", "teleports"})
"""Violations that change what can happen at all, rather than how: PC 1 instead of 2."""


class Oracle:
    """Reads the truth that the generator ``tabletop`` leaves with its clips.

    PC is 5 for a lawful clip and 1 or 2 for a violation. SA compares what the user's prompt asks
    with what was drawn: 5 all of it; 4 all but a size; 3 the event with something else wrong; 2
    another event with a right thing, or the event with nothing right; 1 nothing right.
    """

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="oracle",
            revision="1",
            licence="Apache-2.0",
            fingerprint={
                "rules": code_digest(Path(__file__).read_text("utf-8")),
                "reading": world_digest(READING),
            },
            simulated=True,
            max_batch=256,
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score each clip by its ground truth; clips without one are unscored."""
        return [_score(request) for request in requests]


@dataclass(frozen=True, slots=True)
class _Match:
    """How much of what was asked for is there."""

    event: bool
    right: int
    wrong: int
    wrong_sizes: int


def _score(request: JudgeRequest) -> Score:
    truth = request.clip.meta.get("truth")
    if not isinstance(truth, Mapping):
        return Score.unscored("the clip has no ground truth: only `tabletop` clips have one")
    from phybench.tabletop.texts.language import understand

    asked = understand(request.prompt)
    if not asked.family and not asked.wants:
        return Score.unscored("the prompt asks for nothing that this world knows")
    match = _match(asked, truth)
    details = {
        "violation": truth["violation"],
        "law": truth["law"],
        "event": match.event,
        "right": match.right,
        "wrong": match.wrong + match.wrong_sizes,
    }
    return Score(sa=_sa(match), pc=_pc(truth), details=details)


def _pc(truth: Mapping[str, Any]) -> float:
    if truth["lawful"]:
        return 5.0
    return 1.0 if truth["violation"] in _BLATANT else 2.0


def _sa(match: _Match) -> float:
    if match.event and not match.wrong:
        return 4.0 if match.wrong_sizes else 5.0
    if match.event:
        return 3.0 if match.right else 2.0
    return 2.0 if match.right and not match.wrong else 1.0


def _match(asked: Understanding, truth: Mapping[str, Any]) -> _Match:
    drawn = {thing["role"]: thing for thing in truth["objects"]}
    event = truth["family"] == (asked.family or "still")
    if not event:
        drawn = dict(zip([w.role for w in asked.wants], truth["objects"], strict=False))
    if asked.outcome and truth["outcome"] != asked.outcome:
        event = False
    right = wrong = wrong_sizes = 0
    for want in asked.wants:
        thing = drawn.get(want.role, {})
        for key, value in (("shape", want.shape), ("colour", want.colour)):
            if value:
                right += thing.get(key) == value
                wrong += thing.get(key) != value
        wrong_sizes += bool(want.size) and thing.get("size") != want.size
    return _Match(event, right, wrong, wrong_sizes)
