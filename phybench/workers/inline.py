"""Free plugins in the calling process: a worker's start costs more than all their work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phybench.plugins.opened import Opened
from phybench.units.perform import timed
from phybench.units.unit import Unit
from phybench.workers.executor import Done


class InlineCalls:
    """Does batches at once and keeps the results until someone waits for them.

    Args:
        clips: The cache's clip folder.
    """

    def __init__(self, clips: Path) -> None:
        self._clips = clips
        self._done: list[Done] = []

    def perform(self, lane: int, opened: Opened, units: Sequence[Unit]) -> None:
        """Do a batch."""
        results, seconds = timed(opened.kind, opened.plugin, units, self._clips)
        self._done.append(Done(lane, units, results, seconds))

    def take(self) -> list[Done]:
        """What was done since the last time."""
        done, self._done = self._done, []
        return done
