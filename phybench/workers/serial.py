"""Everything in this process, one batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phybench.plugins.abilities import Closing
from phybench.plugins.opened import Opened
from phybench.units.perform import timed
from phybench.units.unit import Unit
from phybench.workers.executor import Done, refuse_pool


class SerialExecutor:
    """Calls plugins in the calling thread.

    Args:
        clips: The cache's clip folder.
    """

    def __init__(self, clips: Path) -> None:
        self._clips = clips
        self._lanes: list[Opened] = []
        self._pending: tuple[int, Sequence[Unit]] | None = None

    def open(self, opened: Opened) -> int:
        """Make a lane for a plugin and return its number."""
        refuse_pool(opened)
        self._lanes.append(opened)
        return len(self._lanes) - 1

    def free(self, lane: int) -> int:
        """One batch in all."""
        return 0 if self._pending else 1

    def submit(self, lane: int, units: Sequence[Unit]) -> None:
        """Keep the batch until someone waits for it."""
        self._pending = (lane, units)

    def wait(self) -> Sequence[Done]:
        """Do the batch."""
        if self._pending is None:
            return ()
        lane, units = self._pending
        opened = self._lanes[lane]
        results, seconds = timed(opened.kind, opened.plugin, units, self._clips)
        self._pending = None
        return [Done(lane, units, results, seconds)]

    def close(self) -> None:
        """Let the plugins give back what they hold."""
        for opened in self._lanes:
            if isinstance(opened.plugin, Closing):
                opened.plugin.close()
