"""Several judges as one: their mean, vote or minimum, with every part on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phybench.errors import ConfigError
from phybench.plugins.abilities import NestedWork, Preflight, RereadsReplies
from phybench.plugins.contracts import Judge, JudgeRequest, PluginInfo, Scale

from .combining import Combination, Combine, RecordedParts, Result

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun


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
        from phybench.plugins.spec import parse_spec
        from phybench.workers.opening import open_alone

        if len(members) < 2:
            raise ConfigError(f"Expected `members` to be at least 2, but got {len(members)}.")
        opened = [open_alone("judge", parse_spec(member)) for member in members]
        self._members: list[Judge] = [member.plugin for member in opened]
        self._names = _unique([member.info.name for member in opened])
        self._combination = _combination(members, combine, quorum)
        self.info = self._describe()

    def _describe(self) -> PluginInfo:
        infos = [member.info for member in self._members]
        return PluginInfo(
            name=f"{self._combination.combine}({'+'.join(self._names)})",
            revision="+".join(info.revision for info in infos),
            licence="; ".join(sorted({info.licence for info in infos})),
            fingerprint={
                "combine": self._combination.combine,
                "quorum": self._combination.quorum,
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

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Result]:
        """Score clips with every member; one result per clip, in order."""
        columns = [self._asked(member, requests) for member in self._members]
        return [self._combination.of(self._names, list(row)) for row in zip(*columns, strict=True)]

    def reread(self, reply: str) -> Result:
        """Read a recorded reply again (see :class:`phybench.plugins.abilities.RereadsReplies`)."""
        readers = [
            member if isinstance(member, RereadsReplies) else None for member in self._members
        ]
        return RecordedParts(self._combination, readers).reread(reply)

    @staticmethod
    def rereader(
        *, members: list[str], combine: Combine = "mean", quorum: int | None = None
    ) -> RecordedParts:
        """What reads the replies of an ensemble with these options."""
        from phybench.plugins.registry import open_rereader
        from phybench.plugins.spec import parse_spec

        readers = [open_rereader(parse_spec(member)) for member in members]
        return RecordedParts(_combination(members, combine, quorum), readers)

    def check(self, plan: PlannedRun) -> Sequence[str]:
        """The problems that members find before work starts."""
        checkers = [member for member in self._members if isinstance(member, Preflight)]
        return [problem for checker in checkers for problem in checker.check(plan)]

    def nested(self) -> list[NestedWork]:
        """What one clip has the members do: one score each."""
        return [NestedWork("judge", member.info, 1) for member in self._members]

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


def _combination(members: Sequence[str], combine: Combine, quorum: int | None) -> Combination:
    needed = len(members) if quorum is None else quorum
    if not 1 <= needed <= len(members):
        raise ConfigError(f"Expected `quorum` to be from 1 to {len(members)}, but got {needed}.")
    return Combination(combine, needed)


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
