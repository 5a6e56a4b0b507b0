"""What a plugin may be able to do beside the one method of its kind.

Each ability is a protocol: a plugin that has its methods has the ability. Nothing is registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from phybench.plugins.contracts import ClipRequest, Failure, PluginInfo, Score, VideoSettings
from phybench.plugins.opened import Kind


@runtime_checkable
class RereadsReplies(Protocol):
    """A judge that reads its numbers out of raw replies, and can read them again; optional.

    ``phybench gate check`` tests a judge's parser with it on frozen replies. A judge whose
    constructor needs weights, a key or a server also has a static method ``rereader``: it takes
    the constructor's options and gives an object with this method without needing any of them.
    """

    def reread(self, reply: str) -> Score | Failure:
        """What the judge reads out of this raw reply, without asking its model.

        For the ``reply`` of a score, or of a failure of kind ``parse``, status, SA and PC must be
        those of that score or failure; details that the reply does not hold may be absent. No
        text raises an exception: what cannot be read is a failure of kind ``parse``.
        """
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """A generator that counts tokens of its own text encoder; optional."""

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text, special tokens included."""
        ...


@runtime_checkable
class BringsPrompts(Protocol):
    """A generator that has its clips already, and so the prompts they were made for; optional."""

    def prompts(self) -> Sequence[str]:
        """The prompts of its clips, one per clip."""
        ...


@runtime_checkable
class BringsClips(Protocol):
    """A generator that can name its clips before work starts; optional."""

    def sources(self) -> Sequence[str]:
        """The names that labels know its clips by."""
        ...


class PlannedRun(Protocol):
    """What a plugin can ask of a run before work starts."""

    @property
    def settings(self) -> VideoSettings:
        """The run's wishes for every clip."""
        ...

    def known_requests(self) -> Iterator[ClipRequest]:
        """The clips whose texts are known already: those of free refiners."""
        ...

    def known_sources(self) -> Sequence[str]:
        """The names of the clips that generators bring; empty if they make all clips."""
        ...


@runtime_checkable
class Preflight(Protocol):
    """A plugin that can check a run before work starts; optional."""

    def check(self, plan: PlannedRun) -> Sequence[str]:
        """Problems that would spoil the run, one sentence each; empty if there are none."""
        ...


@runtime_checkable
class Remarks(Protocol):
    """A plugin that has something to say before work starts that stops nothing; optional."""

    def remarks(self, plan: PlannedRun) -> Sequence[str]:
        """What readers of the numbers should know, one sentence each; empty if nothing."""
        ...


@dataclass(frozen=True, slots=True)
class NestedWork:
    """What one unit of a plugin has another plugin do.

    Args:
        kind: The other plugin's kind.
        info: What the other plugin says of itself.
        units: Most units that it has to do.
    """

    kind: Kind
    info: PluginInfo
    units: int


@runtime_checkable
class NestsWork(Protocol):
    """A plugin that calls other plugins, so that a plan can count their work; optional."""

    def nested(self) -> Sequence[NestedWork]:
        """The work of the plugins inside it, for one unit of its own."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A plugin that holds something to give back (a server, a connection); optional."""

    def close(self) -> None:
        """Give it back; called once after the last call."""
        ...
