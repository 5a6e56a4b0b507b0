"""Plugins that wait for each other's files: what overlaps is shown without a clock."""

from __future__ import annotations

import os
import time
from pathlib import Path

from phybench import Failure, NoVideo, PluginInfo, Score

ENTRY_POINTS = """
[phybench.generators]
waiting-generator = waiting_plugins:WaitingGenerator
[phybench.judges]
marking-judge = waiting_plugins:MarkingJudge
"""
PATIENCE_S = 20.0
"""Only a failing test waits this long."""


def appears(folder: Path, pattern: str, count: int) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if len(list(folder.glob(pattern))) >= count:
            return True
        time.sleep(0.005)
    return False


class WaitingGenerator:
    """Finishes a text that holds ``after judge`` once a judge has begun, any batch once as many
    workers as ``together`` have begun one.
    """

    def __init__(self, folder: str, together: int = 1, batch: int = 1) -> None:
        self._folder, self._together = Path(folder), together
        self.info = PluginInfo(
            name="waiting", revision="1", licence="Apache-2.0", fingerprint={}, max_batch=batch
        )

    def generate(self, requests):
        (self._folder / f"batch-{os.getpid()}-{len(requests)}").touch()
        if not appears(self._folder, "batch-*", self._together):
            return [Failure("alone", "No other worker began.")] * len(requests)
        return [self._clip(request) for request in requests]

    def _clip(self, request):
        if "after judge" in request.text and not appears(self._folder, "judging", 1):
            return Failure("alone", "No judge began while this clip was being made.")
        return NoVideo(request.text)


class MarkingJudge:
    """Leaves a file when it begins."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self.info = PluginInfo(name="marking", revision="1", licence="Apache-2.0", fingerprint={})

    def score(self, requests):
        (self._folder / "judging").touch()
        return [Score(sa=4.0, pc=4.0) for _ in requests]
