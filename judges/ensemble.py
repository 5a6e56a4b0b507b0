"""Several judges as one: their mean, vote or minimum, with every part on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from phybench.contracts import (
    Failure,
    Judge,
    JudgeRequest,
    PluginInfo,
    Preflight,
    Scale,
    Score,
)
from phybench.errors import ConfigError

if TYPE_CHECKING:
    from phybench.plan import Plan

Combine = Literal["mean", "vote", "minimum"]
Result = Score | Failure


class Ensemble:
    """Asks several judges and combines their scores.

    All members must use the same scale: a rating and a probability have no mean. A clip gets a
    score from the members that gave one; who failed or could not tell is in the details.

    Args:
        members: SPECs of the judges, at least two. In a SPEC string ``|`` parts them and brackets
            hold their commas (``ensemble:members=[videophy2:model=/a,batch=2|videocon]``).
        combine: ``mean``; ``vote``: the most frequent value, the lower one on a tie; ``minimum``:
            the strictest member decides.
        quorum: How many members must score a clip; by default all. With fewer the clip is
            unscored if enough of the others say so themselves, else failed.

    Raises:
        ConfigError: If there are fewer than two members, their scales differ or a member cannot be
            made.
    """

    def __init__(
        self, *, members: list[str], combine: Combine = "mean", quorum: int | None = None
    ) -> None:
        from phybench.registry import open_plugin
        from phybench.spec import parse_spec

        if len(members) < 2:
            raise ConfigError(f"Expected `members` to be at least 2, but got {len(members)}.")
        opened = [open_plugin("judge", parse_spec(member)) for member in members]
        self._members: list[Judge] = [member.plugin for member in opened]
        self._names = _unique([member.info.name for member in opened])
        self._combine: Combine = combine
        self._quorum = len(members) if quorum is None else quorum
        if not 1 <= self._quorum <= len(members):
            raise ConfigError(
                f"Expected `quorum` to be from 1 to {len(members)}, but got {self._quorum}."
            )
        self.info = self._describe()

    def _describe(self) -> PluginInfo:
        infos = [member.info for member in self._members]
        return PluginInfo(
            name=f"{self._combine}({'+'.join(self._names)})",
            revision="+".join(info.revision for info in infos),
            licence="; ".join(sorted({info.licence for info in infos})),
            fingerprint={
                "combine": self._combine,
                "quorum": self._quorum,
                "members": [
                    {"name": info.name, "revision": info.revision, **info.fingerprint}
                    for info in infos
                ],
            },
            simulated=any(info.simulated for info in infos),
            max_batch=max(info.max_batch for info in infos),
            scale=_common_scale(self._names, [info.scale for info in infos]),
            extra=next((info.extra for info in infos if info.extra), ""),
            gpu_gib=sum(info.gpu_gib for info in infos),
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips with every member; one result per clip, in order."""
        columns = [self._asked(member, requests) for member in self._members]
        return [self._combined(list(row)) for row in zip(*columns, strict=True)]

    def check(self, plan: Plan) -> Sequence[str]:
        """The problems that members find before work starts."""
        checkers = [member for member in self._members if isinstance(member, Preflight)]
        return [problem for checker in checkers for problem in checker.check(plan)]

    def close(self) -> None:
        """Close the members that can be closed."""
        for member in self._members:
            if callable(close := getattr(member, "close", None)):
                close()

    def _asked(self, member: Judge, requests: Sequence[JudgeRequest]) -> list[Result]:
        """A member's results; each member gets batches of its own size."""
        size = max(1, member.info.max_batch)
        results: list[Result] = []
        for start in range(0, len(requests), size):
            results += member.score(requests[start : start + size])
        return results

    def _combined(self, results: Sequence[Result]) -> Result:
        parts = {name: _part(result) for name, result in zip(self._names, results, strict=True)}
        scores = [result for result in results if isinstance(result, Score)]
        sa = [score.sa for score in scores if score.sa is not None]
        pc = [score.pc for score in scores if score.pc is not None]
        if len(sa) < self._quorum:
            return self._undecided(scores, results, parts)
        merge = _MERGES[self._combine]
        spread = {"sa_spread": max(sa) - min(sa), "pc_spread": max(pc) - min(pc)}
        return Score(
            merge(sa),
            merge(pc),
            rules=_rules([score for score in scores if score.sa is not None]),
            details={"members": parts, **spread},
        )

    def _undecided(
        self, scores: Sequence[Score], results: Sequence[Result], parts: Mapping[str, Any]
    ) -> Result:
        # Unscored only if those who answered could have made the quorum.
        if len(scores) >= self._quorum:
            unsure = [name for name, part in parts.items() if part["status"] == "unscored"]
            reason = f"{', '.join(unsure)} cannot assess the clip"
            return Score.unscored(reason, details={"members": dict(parts)})
        failures = [
            (name, result)
            for name, result in zip(self._names, results, strict=True)
            if isinstance(result, Failure)
        ]
        message = "; ".join(f"{name}: {failure.message}" for name, failure in failures)
        return Failure(
            failures[0][1].kind,
            f"{len(results) - len(failures)} of {len(results)} members answered, "
            f"{self._quorum} are needed. {message}",
            retryable=any(failure.retryable for _, failure in failures),
            reply=failures[0][1].reply,
        )


def _unique(names: Sequence[str]) -> list[str]:
    """Names with a number where two members have the same."""
    counts = Counter(names)
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name}#{seen[name]}" if counts[name] > 1 else name)
    return unique


def _common_scale(names: Sequence[str], scales: Sequence[Scale]) -> Scale:
    if len(set(scales)) > 1:
        listed = ", ".join(
            f"{name} {scale.low:g}..{scale.high:g}"
            for name, scale in zip(names, scales, strict=True)
        )
        raise ConfigError(f"Expected all `members` to use one scale, but got {listed}.")
    return scales[0]


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
