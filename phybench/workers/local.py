"""A pool of processes per plugin, on this machine.

Free refiners are called in this process: a worker's start costs more than all their work. So are
plugin objects of the caller's: no other process has them.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phybench.plugins.abilities import Closing
from phybench.plugins.opened import Opened
from phybench.units.unit import Unit
from phybench.workers.executor import Done, refuse_gpu_shares, refuse_pool
from phybench.workers.inline import InlineCalls
from phybench.workers.process import WorkerDiedError, WorkerProcess


@dataclass(slots=True)
class _Lane:
    number: int
    opened: Opened
    workers: int
    alive: list[WorkerProcess] = field(default_factory=list)
    idle: list[WorkerProcess] = field(default_factory=list)
    busy: dict[int, tuple[WorkerProcess, Sequence[Unit]]] = field(default_factory=dict)


class LocalExecutor:
    """Worker processes on this machine.

    Args:
        clips: The cache's clip folder.
        workers: Processes per plugin where its SPEC names no number; a plugin that needs a GPU
            gets one. Default: one per CPU core.
    """

    def __init__(self, clips: Path, workers: int | None = None) -> None:
        self._clips = clips
        self._workers = workers or os.cpu_count() or 1
        self._lanes: list[_Lane] = []
        self._selector = selectors.DefaultSelector()
        self._inline = InlineCalls(self._clips)

    def open(self, opened: Opened) -> int:
        """Make a lane for a plugin; its workers start when they are first needed."""
        refuse = refuse_pool if opened.stays_here else refuse_gpu_shares
        refuse(opened)
        default = 1 if opened.info.gpu_gib else self._workers
        workers = 0 if opened.stays_here else opened.spec.workers or default
        self._lanes.append(_Lane(len(self._lanes), opened, workers))
        return len(self._lanes) - 1

    def free(self, lane: int) -> int:
        """Workers of the lane that have nothing to do."""
        this = self._lanes[lane]
        return this.workers - len(this.busy) if this.workers else 1

    def submit(self, lane: int, units: Sequence[Unit]) -> None:
        """Hand the batch to an idle worker, or start one."""
        this = self._lanes[lane]
        if not this.workers:
            self._inline.perform(lane, this.opened, units)
            return
        worker = this.idle.pop() if this.idle else self._started(this)
        worker.submit(units)
        this.busy[worker.fileno()] = (worker, units)

    def wait(self) -> Sequence[Done]:
        """Wait for the next results of any worker."""
        if done := self._inline.take():
            return done
        ready = self._selector.select()
        return [self._finish(self._lanes[key.data], key.fd) for key, _ in ready]

    def close(self) -> None:
        """End all workers."""
        for lane in self._lanes:
            # Not by way of `idle` and `busy`: Ctrl-C may come while a worker is in neither.
            for worker in lane.alive:
                worker.close()
            if isinstance(lane.opened.plugin, Closing):
                lane.opened.plugin.close()
        self._selector.close()

    def _started(self, lane: _Lane) -> WorkerProcess:
        # Workers of a pool share the cores; if each took all, they would halve each other's speed.
        threads = max(1, (os.cpu_count() or 1) // lane.workers)
        worker = WorkerProcess(lane.opened.kind, lane.opened.spec, self._clips, threads)
        lane.alive.append(worker)
        self._selector.register(worker, selectors.EVENT_READ, lane.number)
        return worker

    def _finish(self, lane: _Lane, descriptor: int) -> Done:
        worker, units = lane.busy.pop(descriptor)
        try:
            _ = worker.info
            results, seconds = worker.results()
        except WorkerDiedError:
            self._selector.unregister(worker)
            lane.alive.remove(worker)
            worker.close()
            return Done(lane.number, units, None)
        lane.idle.append(worker)
        return Done(lane.number, units, results, seconds)
