"""Several judges' results as one, and reading that again out of what was recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from phybench.plugins.abilities import RereadsReplies
from phybench.plugins.contracts import Failure, Score

Combine = Literal["mean", "vote", "minimum"]
Result = Score | Failure


@dataclass(frozen=True, slots=True)
class Combination:
    """A rule that makes one result of several.

    Args:
        combine: ``mean``; ``vote``: the most frequent value, the lower one on a tie; ``minimum``.
        quorum: How many must have scored; with fewer the result is unscored if enough of the
            others say so themselves, else failed.
    """

    combine: Combine
    quorum: int

    def of(self, names: Sequence[str], results: Sequence[Result]) -> Result:
        """The result of named judges for one clip; all parts are in its reply and details."""
        parts = {name: _part(result) for name, result in zip(names, results, strict=True)}
        raw = _raw(parts)
        scores = [result for result in results if isinstance(result, Score)]
        sa = [score.sa for score in scores if score.sa is not None]
        pc = [score.pc for score in scores if score.pc is not None]
        if len(sa) < self.quorum:
            return self._undecided(parts, results, raw)
        merge = _MERGES[self.combine]
        spread = {"sa_spread": max(sa) - min(sa), "pc_spread": max(pc) - min(pc)}
        return Score(
            merge(sa),
            merge(pc),
            reply=raw,
            rules=_rules([score for score in scores if score.sa is not None]),
            details={"members": parts, **spread},
        )

    def _undecided(
        self, parts: Mapping[str, Mapping[str, Any]], results: Sequence[Result], raw: str
    ) -> Result:
        failures = {
            name: result
            for name, result in zip(parts, results, strict=True)
            if isinstance(result, Failure)
        }
        # Unscored only if those who answered could have made the quorum.
        if len(results) - len(failures) >= self.quorum:
            unsure = [name for name, part in parts.items() if part["status"] == "unscored"]
            reason = f"{', '.join(unsure)} cannot assess the clip"
            return Score.unscored(reason, reply=raw, details={"members": dict(parts)})
        message = "; ".join(f"{name}: {failure.message}" for name, failure in failures.items())
        return Failure(
            next(iter(failures.values())).kind,
            f"{len(results) - len(failures)} of {len(results)} members answered, "
            f"{self.quorum} are needed. {message}",
            retryable=any(failure.retryable for failure in failures.values()),
            reply=raw,
        )


class _Recorded(BaseModel):
    """What of a member's result is needed to combine it again."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    name: str
    status: Literal["scored", "unscored", "failed"]
    kind: str = ""
    sa: float | None = None
    pc: float | None = None
    reply: str = ""

    def result(self, reader: RereadsReplies | None) -> Result:
        """Read anew where the member's reader once read the reply, else as recorded."""
        was_read = self.reply and (self.status != "failed" or self.kind == "parse")
        if reader is not None and was_read:
            return reader.reread(self.reply)
        if self.status == "failed":
            return Failure(self.kind, "as recorded", reply=self.reply)
        if (self.sa is None) != (self.pc is None):
            return Failure("parse", "Expected both numbers or none.", reply=self.reply)
        return Score(self.sa, self.pc, reply=self.reply)


_PARTS: TypeAdapter[list[_Recorded]] = TypeAdapter(list[_Recorded])


@dataclass(frozen=True, slots=True)
class RecordedParts:
    """Reads what :meth:`Combination.of` recorded, again and without asking any member.

    Args:
        combination: The rule.
        readers: Each member's own reader, ``None`` where it has none; its numbers are then taken
            as they were recorded.
    """

    combination: Combination
    readers: Sequence[RereadsReplies | None]

    def reread(self, reply: str) -> Result:
        """Read a raw reply again: a JSON list with a part for each member."""
        try:
            parts = _PARTS.validate_json(reply)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]["msg"]
            return Failure("parse", f"Expected the recorded parts, but: {problem}.", reply=reply)
        names = [part.name for part in parts]
        if len(parts) != len(self.readers) or len(set(names)) < len(names):
            message = f"Expected one part for each of {len(self.readers)} members, but got {names}."
            return Failure("parse", message, reply=reply)
        results = [part.result(reader) for part, reader in zip(parts, self.readers, strict=True)]
        return self.combination.of(names, results)


def _raw(parts: Mapping[str, Mapping[str, Any]]) -> str:
    kept = _Recorded.model_fields
    rows = [
        {"name": name, **{key: value for key, value in part.items() if key in kept}}
        for name, part in parts.items()
    ]
    return json.dumps(rows, ensure_ascii=False)


def _part(result: Result) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {
            "status": "failed",
            "kind": result.kind,
            "message": result.message,
            "reply": result.reply,
        }
    return {
        "status": "unscored" if result.sa is None else "scored",
        "sa": result.sa,
        "pc": result.pc,
        "rules": list(result.rules),
        "reply": result.reply,
        "details": dict(result.details),
    }


def _vote(values: Sequence[float]) -> float:
    counts = Counter(values)
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


_MERGES: Mapping[Combine, Callable[[Sequence[float]], float]] = {
    "mean": fmean,
    "vote": _vote,
    "minimum": min,
}


def _rules(scores: Sequence[Score]) -> tuple[int | None, ...]:
    """Per rule the verdict of most members that gave one; ``None`` if none leads."""
    length = max(len(score.rules) for score in scores)
    columns = (
        [score.rules[index] for score in scores if index < len(score.rules)]
        for index in range(length)
    )
    return tuple(_leading(column) for column in columns)


def _leading(column: Sequence[int | None]) -> int | None:
    counts = Counter(verdict for verdict in column if verdict is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]
