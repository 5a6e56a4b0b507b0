"""What a gate found, check by check, and what that means for the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PASSED, DRIFTED, NOT_CHECKED = 0, 1, 2


class CheckOutcome(StrEnum):
    """How one check ended."""

    OK = "ok"
    FAIL = "fail"
    UNDECIDED = "undecided"
    """Neither drift nor its absence could be shown; fails only under ``strict``."""
    BLOCKED = "blocked"
    """The check was due and could not be made."""
    SKIPPED = "skipped"
    """The check does not apply here."""


@dataclass(frozen=True, slots=True)
class GateFinding:
    """One check.

    Args:
        level: ``parser``, ``judge``, ``arm``, ``health``, ``refinement`` or ``training``.
        name: What was checked.
        outcome: How it ended.
        message: What was found, in one or a few plain sentences.
        numbers: The figures behind it (JSON values only).
    """

    level: str
    name: str
    outcome: CheckOutcome
    message: str
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)


def exit_code(findings: Sequence[GateFinding], *, strict: bool = False) -> int:
    """0 passed, 1 drift, 2 could not check.

    Args:
        findings: All checks.
        strict: Count undecided checks as drift.
    """
    outcomes = {finding.outcome for finding in findings}
    if CheckOutcome.FAIL in outcomes or (strict and CheckOutcome.UNDECIDED in outcomes):
        return DRIFTED
    if CheckOutcome.BLOCKED in outcomes or not outcomes - {CheckOutcome.SKIPPED}:
        return NOT_CHECKED
    return PASSED
