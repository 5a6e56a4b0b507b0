"""From texts to scores: clips are made and judged by any plugins, behind the run's executors.

One thread owns the executor and the cache. A rollout's samples come in together, so that the first
of them cannot leave with one worker while the others wait; a clip that is finished goes to the
judges while others are still being made, and the executor's free slots bound what is under way.
Equal texts with equal seeds cost one clip, and what the cache knows costs none.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path

from phybench.plugins.contracts import Clip, ClipRequest, Failure, JudgeRequest, Score
from phybench.plugins.opened import Opened
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.keys import clip_key, fingerprint, score_key
from phybench.units.unit import Unit
from phybench.workers.executor import Done, Executor


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip to make and judge.

    Args:
        prompt: The user's words, which SA is judged against.
        request: The refinement's text and the clip's seed.
        judges: Indices of the judges that shall score it.
    """

    prompt: str
    request: ClipRequest
    judges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a sample.

    Args:
        clip: The clip, or why there is none.
        scores: By judge index, the score or why there is none.
    """

    clip: Clip | Failure
    scores: dict[int, Score | Failure]


_Asked = tuple[Sample, "Future[Judged]"]


@dataclass(slots=True)
class _Lane:
    opened: Opened
    number: int
    fingerprint: str
    queue: deque[Unit] = field(default_factory=deque)
    waiting: dict[str, list[Callable[[Value], None]]] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)


class ClipScores:
    """Makes and judges clips in a thread of its own.

    Args:
        generator: Makes the clips.
        judges: Score them.
        cache: Folder of the harness's cache.
        executor: Builds the executor from the cache's clip folder.
    """

    def __init__(
        self,
        generator: Opened,
        judges: Sequence[Opened],
        cache: Path,
        executor: Callable[[Path], Executor],
    ) -> None:
        self._parts = (generator, *judges)
        self._folder = cache
        self._make_executor = executor
        self._incoming: queue.Queue[list[_Asked] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, name="clip-scores", daemon=True)
        self._thread.start()

    def submit(self, samples: Sequence[Sample]) -> list[Future[Judged]]:
        """Ask for samples; a future's exception is what broke the service, if anything did."""
        asked: list[_Asked] = [(sample, Future()) for sample in samples]
        self._incoming.put(asked)
        return [future for _, future in asked]

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop; what is under way is given up. A hung plugin does not hold up the caller."""
        self._incoming.put(None)
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        pending: set[Future[Judged]] = set()
        try:
            with Cache(self._folder) as cache:
                executor = self._make_executor(cache.folder / "clips")
                try:
                    _Service(self._parts, executor, cache, self._incoming, pending).run()
                finally:
                    executor.close()
        except Exception as error:  # noqa: BLE001  the thread must hand every error to who waits
            self._fail(pending, error)

    def _fail(self, pending: set[Future[Judged]], error: Exception) -> None:
        for future in pending:
            _settle(future, error)
        while True:
            asked = self._incoming.get()
            if asked is None:
                return
            for _, future in asked:
                _settle(future, error)


def _settle(future: Future[Judged], result: Judged | Exception) -> None:
    try:
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:
        pass  # who asked has stopped waiting


class _Service:
    """The thread's loop."""

    def __init__(
        self,
        parts: Sequence[Opened],
        executor: Executor,
        cache: Cache,
        incoming: queue.Queue[list[_Asked] | None],
        pending: set[Future[Judged]],
    ) -> None:
        self._executor = executor
        self._cache = cache
        self._incoming = incoming
        self._pending = pending
        self._lanes = [_Lane(one, executor.open(one), fingerprint(one)) for one in parts]
        self._in_flight = 0

    def run(self) -> None:
        """Serve until told to stop."""
        while self._take():
            self._dispatch()
            if self._in_flight:
                finished = self._executor.wait()
                self._in_flight -= len(finished)
                # Whoever is free gets more to do before the cache is written.
                self._dispatch()
                for done in finished:
                    self._finish(done)

    def _take(self) -> bool:
        """Accept what has come in; wait for it only if nothing else is to do."""
        idle = not self._in_flight and not any(lane.queue for lane in self._lanes)
        try:
            while True:
                asked = self._incoming.get(block=idle)
                if asked is None:
                    return False
                for sample, future in asked:
                    self._start(sample, future)
                idle = False
        except queue.Empty:
            return True

    def _dispatch(self) -> None:
        for lane in reversed(self._lanes):
            while lane.queue and (free := self._executor.free(lane.number)):
                self._executor.submit(lane.number, _batch(lane, free))
                self._in_flight += 1

    def _finish(self, done: Done) -> None:
        lane = next(lane for lane in self._lanes if lane.number == done.lane)
        if done.results is None:
            self._bury(lane, done.units)
            return
        pairs = list(zip(done.units, done.results, strict=True))
        fresh = [(unit.key, value) for unit, value in pairs if not isinstance(value, Failure)]
        self._cache.put(fresh, {lane.fingerprint: (len(pairs), done.seconds)})
        for unit, value in pairs:
            self._deliver(lane, unit.key, value)

    def _bury(self, lane: _Lane, units: Sequence[Unit]) -> None:
        """A worker died: its units go alone, and fail if they kill again."""
        for unit in units:
            if unit.key in lane.alone or len(units) == 1:
                died = Failure("worker-died", "The worker died while it worked on this.")
                self._deliver(lane, unit.key, died)
            else:
                lane.alone.add(unit.key)
                lane.queue.append(unit)

    def _deliver(self, lane: _Lane, key: str, value: Value) -> None:
        lane.alone.discard(key)
        for then in lane.waiting.pop(key):
            then(value)

    def _ask(self, lane: _Lane, unit: Unit, then: Callable[[Value], None]) -> None:
        key = unit.key
        if key in lane.waiting:
            lane.waiting[key].append(then)
            return
        known = self._cache.get(key)
        if known is not None:
            then(known)
            return
        lane.waiting[key] = [then]
        lane.queue.append(unit)

    def _start(self, sample: Sample, future: Future[Judged]) -> None:
        self._pending.add(future)
        lane = self._lanes[0]
        key = clip_key(lane.fingerprint, sample.request)
        unit = Unit(key, "generate", sample.request)
        self._ask(lane, unit, lambda made: self._made(sample, future, made))

    def _made(self, sample: Sample, future: Future[Judged], made: Value) -> None:
        if not isinstance(made, Clip):
            failed = made if isinstance(made, Failure) else Failure("contract", "No clip was made.")
            self._give(future, Judged(failed, {}))
            return
        scores: dict[int, Score | Failure] = {}
        for index in sample.judges:
            lane = self._lanes[1 + index]
            request = JudgeRequest(made, sample.prompt)

            def judged(value: Value, index: int = index) -> None:
                failed = Failure("contract", "No score was given.")
                scores[index] = value if isinstance(value, Score | Failure) else failed
                if len(scores) == len(sample.judges):
                    self._give(future, Judged(made, scores))

            unit = Unit(score_key(lane.fingerprint, request), "judge", request)
            self._ask(lane, unit, judged)

    def _give(self, future: Future[Judged], result: Judged) -> None:
        self._pending.discard(future)
        _settle(future, result)


def _batch(lane: _Lane, free: int) -> list[Unit]:
    """The next batch, no larger than the free workers' share of what waits.

    A unit whose worker died before goes alone.
    """
    most = min(lane.opened.info.max_batch, math.ceil(len(lane.queue) / free))
    taken = [lane.queue.popleft()]
    if taken[0].key in lane.alone:
        return taken
    while lane.queue and len(taken) < most and lane.queue[0].key not in lane.alone:
        taken.append(lane.queue.popleft())
    return taken
