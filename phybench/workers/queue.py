"""Units of work on their way through the plugins: known ones at once, others in batches.

Each plugin has a lane with a queue. Results that the cache knows never reach a lane; equal units in
flight are done once; a unit whose worker died is tried once more, alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from phybench.plugins.contracts import Failure
from phybench.plugins.opened import Opened
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.unit import Unit
from phybench.workers.executor import Done, Executor
from phybench.workers.serial import SerialExecutor

Then = Callable[[Value], None]
Counted = Callable[[int], None]
"""Called with the number of results that are there."""


def run_all(
    opened: Opened,
    fingerprint: str,
    units: Sequence[Unit],
    cache: Cache,
    *,
    executor: Executor | None = None,
    progress: Counted = lambda _: None,
) -> list[Value]:
    """Have one plugin do units of work, outside a run's pipeline.

    What the cache knows is not done again, equal units are done once, a unit that fails or kills
    its worker costs no other, and results are kept batch by batch.

    Args:
        opened: The plugin.
        fingerprint: What the keys of the units are made with.
        units: The units.
        cache: Where finished units are found and kept.
        executor: Who calls the plugin; default: this process, which leaves the plugin open.
        progress: Called after every batch.

    Returns:
        One result per unit, in order.

    Raises:
        StorageError: If the disk refuses a write.
    """
    lanes = Lanes(executor or SerialExecutor(cache.folder / "clips"), cache)
    lane = lanes.open(opened, fingerprint)
    results: dict[int, Value] = {}
    for number, unit in enumerate(units):
        lanes.request(lane, unit, partial(results.__setitem__, number))
    progress(len(results))
    lanes.dispatch()
    while lanes.settle():
        lanes.commit()
        progress(len(results))
        lanes.dispatch()
    return [results[number] for number in range(len(units))]


@dataclass(slots=True)
class Lane:
    """One plugin's queue.

    Args:
        opened: The plugin.
        number: The executor's number of the lane.
        fingerprint: What the keys of its units are made with.
        queue: Units that wait for a free worker.
        waiting: Who waits for a unit, by key.
        alone: Keys of units that go alone, since a worker died with them.
    """

    opened: Opened
    number: int
    fingerprint: str
    queue: deque[Unit] = field(default_factory=deque)
    waiting: dict[str, list[Then]] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)

    def batch(self) -> list[Unit]:
        """The next batch; a unit whose worker died before goes alone."""
        if self.queue[0].key in self.alone:
            return [self.queue.popleft()]
        taken: list[Unit] = []
        while (
            self.queue
            and len(taken) < self.opened.info.max_batch
            and self.queue[0].key not in self.alone
        ):
            taken.append(self.queue.popleft())
        return taken


class Lanes:
    """The lanes of a run.

    Args:
        executor: Who calls the plugins.
        cache: Where finished units are found and kept.
    """

    def __init__(self, executor: Executor, cache: Cache) -> None:
        self._executor = executor
        self._cache = cache
        self._lanes: list[Lane] = []
        self._in_flight = 0
        self._units: dict[str, Value] = {}
        self._timings: dict[str, tuple[int, float]] = {}

    def open(self, opened: Opened, fingerprint: str) -> Lane:
        """Make a lane; lanes are opened in the order of the stages."""
        lane = Lane(opened, self._executor.open(opened), fingerprint)
        self._lanes.append(lane)
        return lane

    def request(self, lane: Lane, unit: Unit, then: Then) -> bool:
        """Have a unit done and its result handed to ``then``.

        Returns:
            Whether the result was known, and ``then`` has been called already.
        """
        key = unit.key
        if key in lane.waiting:
            lane.waiting[key].append(then)
            return False
        known = self._units.get(key) or self._cache.get(key)
        if known is not None:
            then(known)
            return True
        lane.waiting[key] = [then]
        lane.queue.append(unit)
        return False

    def dispatch(self) -> None:
        """Hand out batches: full ones from the last stage up, then partial ones from the first.

        Partial batches wait for their queue to fill only while an earlier stage can still be
        given work; with nothing else to do they go as they are.
        """
        for lane in reversed(self._lanes):
            while len(lane.queue) >= lane.opened.info.max_batch and self._submitted(lane):
                pass
        for lane in self._lanes:
            while lane.queue and self._submitted(lane):
                pass

    def settle(self) -> bool:
        """Wait for results and hand them on; false if nothing is in flight.

        Raises:
            StorageError: If the disk refused a worker's write.
        """
        if not self._in_flight:
            return False
        for done in self._executor.wait():
            self._settle(done)
        return True

    def commit(self) -> None:
        """Keep what was finished since the last call.

        Raises:
            StorageError: If the disk refuses the write.
        """
        if self._units:
            self._cache.put(self._units.items(), self._timings)
            self._units, self._timings = {}, {}

    def _submitted(self, lane: Lane) -> bool:
        if not self._executor.free(lane.number):
            return False
        self._executor.submit(lane.number, lane.batch())
        self._in_flight += 1
        return True

    def _settle(self, done: Done) -> None:
        self._in_flight -= 1
        lane = next(lane for lane in self._lanes if lane.number == done.lane)
        if done.results is None:
            self._bury(lane, done.units)
            return
        count, seconds = self._timings.get(lane.fingerprint, (0, 0.0))
        self._timings[lane.fingerprint] = count + len(done.units), seconds + done.seconds
        for unit, result in zip(done.units, done.results, strict=True):
            if not isinstance(result, Failure):
                self._units[unit.key] = result
            self._deliver(lane, unit.key, result)

    def _bury(self, lane: Lane, units: Sequence[Unit]) -> None:
        """A worker died: its units are tried again one by one, and fail if they kill again."""
        for unit in units:
            key = unit.key
            if key in lane.alone or len(units) == 1:
                died = Failure(
                    "worker-died", "The worker died while it worked on this.", retryable=True
                )
                self._deliver(lane, key, died)
            else:
                lane.alone.add(key)
                lane.queue.append(unit)

    def _deliver(self, lane: Lane, key: str, result: Value) -> None:
        lane.alone.discard(key)
        for then in lane.waiting.pop(key):
            then(result)
