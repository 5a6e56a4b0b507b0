"""A plugin that lives in another interpreter, usable like one in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    JudgeRequest,
    NoVideo,
    PluginInfo,
    Refinement,
    Score,
    VideoFile,
)
from phybench.plugins.opened import Kind
from phybench.plugins.spec import PluginSpec
from phybench.units.codec import Value
from phybench.units.unit import Unit
from phybench.workers.process import WorkerDiedError, WorkerProcess


class RemotePlugin:
    """Refiner, generator or judge behind a worker process (SPEC option ``python``).

    Args:
        kind: The plugin's kind.
        spec: The plugin, with its interpreter.

    Raises:
        ConfigError: If it cannot be started there or refuses its options.
    """

    def __init__(self, kind: Kind, spec: PluginSpec) -> None:
        self._clips = TemporaryDirectory(prefix="phybench-")
        self._start = partial(WorkerProcess, kind, spec, Path(self._clips.name))
        self._worker = self._start()
        self.info: PluginInfo = self._worker.info

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite prompts over there."""
        units = [
            Unit("", "refine", prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return [result for result in self._call(units) if isinstance(result, Refinement | Failure)]

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips over there."""
        results = self._call([Unit("", "judge", request) for request in requests])
        return [result for result in results if isinstance(result, Score | Failure)]

    def generate(self, requests: Sequence[ClipRequest]) -> Sequence[VideoFile | NoVideo | Failure]:
        """Make clips over there; they come back as files of a temporary folder."""
        named = [
            Unit(f"{index:08d}", "generate", request) for index, request in enumerate(requests)
        ]
        return [
            _as_made(result) for result in self._call(named) if isinstance(result, Clip | Failure)
        ]

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
        self._clips.cleanup()

    def _call(self, units: Sequence[Unit]) -> list[Value]:
        self._worker.submit(units)
        try:
            return self._worker.results()[0]
        except WorkerDiedError:
            status = self._worker.exit_status()
            self._worker.close()
            self._worker = self._start()
            _ = self._worker.info
            died = Failure("worker-died", f"The worker ended with {status}.", retryable=True)
            return [died for _ in units]


def _as_made(clip: Clip | Failure) -> VideoFile | NoVideo | Failure:
    if isinstance(clip, Failure):
        return clip
    if clip.path is None:
        return NoVideo(clip.source, clip.meta)
    return VideoFile(clip.path, clip.source, move=not clip.source, meta=clip.meta)
