"""refine → generate → judge, streamed: an item moves on as soon as it can.

Each plugin has a lane with a queue. Results that the cache knows never reach a lane; equal units in
flight are done once. At most a window of items is under way, which bounds every queue and the
memory, and makes fast stages wait for slow ones.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from phybench.cache import Cache
from phybench.codec import Value, plain
from phybench.contracts import (
    Clip,
    ClipRequest,
    Failure,
    JudgeRequest,
    Refinement,
    Score,
)
from phybench.executors.base import Done, Executor
from phybench.plan import Item, Plan, clip_key, fingerprint, refinement_key, score_key
from phybench.records import ITEMS, SCORES, RunWriter
from phybench.registry import Kind, Opened
from phybench.work import Request

_WINDOW = 512
"""Items under way at most; enough to fill every batch of every lane, little enough for memory."""
_SYNC_EVERY_S = 1.0

Then = Callable[[Value], None]


@dataclass(slots=True)
class StageCount:
    """How far one stage is, in units of items.

    Args:
        total: Results the stage has to deliver.
        done: Results delivered, failures included.
        cached: Of these, those that were known before.
        failed: Of these, failures of this stage.
    """

    total: int
    done: int = 0
    cached: int = 0
    failed: int = 0


Progress = Callable[[Mapping[Kind, StageCount]], None]


@dataclass(slots=True)
class _Lane:
    opened: Opened
    number: int
    fingerprint: str
    queue: deque[Request] = field(default_factory=deque)
    waiting: dict[str, list[Then]] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)

    def batch(self) -> list[Request]:
        """The next batch; a unit whose worker died before goes alone."""
        if self.queue[0][0] in self.alone:
            return [self.queue.popleft()]
        taken: list[Request] = []
        while (
            self.queue
            and len(taken) < self.opened.info.max_batch
            and self.queue[0][0] not in self.alone
        ):
            taken.append(self.queue.popleft())
        return taken


class Pipeline:
    """Runs the items of a plan.

    Args:
        plan: What to do.
        finished: Per item, whether it is finished already (by an earlier start of this run).
        executor: Who calls the plugins.
        cache: Where finished units are found and kept.
        writer: Where rows go.
        progress: Called with the counts after every round.
    """

    def __init__(
        self,
        plan: Plan,
        finished: Sequence[int],
        executor: Executor,
        cache: Cache,
        writer: RunWriter,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._cache = cache
        self._writer = writer
        self._progress = progress
        self._todo: Iterator[Item] = (one for one in plan.items() if not finished[one.index])
        left = plan.size - sum(map(bool, finished))
        judged = left * len(plan.judges)
        self.counts: dict[Kind, StageCount] = {
            "refiner": StageCount(left),
            "generator": StageCount(left),
            "judge": StageCount(judged),
        }
        self._lanes: dict[Kind, list[_Lane]] = {
            kind: [_Lane(one, executor.open(one), fingerprint(one)) for one in opened]
            for kind, opened in plan.by_kind().items()
        }
        self._synced = time.monotonic()
        self._under_way = 0
        self._in_flight = 0
        self._units: dict[str, Value] = {}
        self._timings: dict[str, tuple[int, float]] = {}
        self._item_rows: list[dict[str, Any]] = []
        self._score_rows: list[dict[str, Any]] = []

    def run(self) -> None:
        """Do every item that is not finished.

        Raises:
            StorageError: If the disk refuses a write; what was finished is kept.
        """
        while True:
            fed = self._feed()
            self._dispatch()
            if self._in_flight:
                for done in self._executor.wait():
                    self._settle(done)
            elif not fed:
                break
            self._commit()
            self._progress(self.counts)
        self._commit()
        self._writer.sync()

    def _feed(self) -> int:
        """Start items until the window is full; cached ones finish at once."""
        room = _WINDOW - self._under_way
        fed = 0
        for item in itertools.islice(self._todo, room):
            self._under_way += 1
            self._refine(item)
            fed += 1
        return fed

    def _dispatch(self) -> None:
        """Hand out batches: full ones from the last stage up, then partial ones from the first.

        Partial batches wait for their queue to fill only while an earlier stage can still be
        given work; with nothing else to do they go as they are.
        """
        lanes = self._all_lanes()
        for lane in reversed(lanes):
            while len(lane.queue) >= lane.opened.info.max_batch and self._submitted(lane):
                pass
        for lane in lanes:
            while lane.queue and self._submitted(lane):
                pass

    def _all_lanes(self) -> list[_Lane]:
        return [lane for group in self._lanes.values() for lane in group]

    def _submitted(self, lane: _Lane) -> bool:
        if not self._executor.free(lane.number):
            return False
        self._executor.submit(lane.number, lane.batch())
        self._in_flight += 1
        return True

    def _settle(self, done: Done) -> None:
        self._in_flight -= 1
        lane = next(lane for lane in self._all_lanes() if lane.number == done.lane)
        if done.results is None:
            self._bury(lane, done.requests)
            return
        count, seconds = self._timings.get(lane.fingerprint, (0, 0.0))
        self._timings[lane.fingerprint] = count + len(done.requests), seconds + done.seconds
        for (key, _, _), result in zip(done.requests, done.results, strict=True):
            if not isinstance(result, Failure):
                self._units[key] = result
            self._deliver(lane, key, result)

    def _bury(self, lane: _Lane, requests: Sequence[Request]) -> None:
        """A worker died: its units are tried again one by one, and fail if they kill again."""
        for request in requests:
            key = request[0]
            if key in lane.alone or len(requests) == 1:
                died = Failure(
                    "worker-died", "The worker died while it worked on this.", retryable=True
                )
                self._deliver(lane, key, died)
            else:
                lane.alone.add(key)
                lane.queue.append(request)

    def _deliver(self, lane: _Lane, key: str, result: Value) -> None:
        lane.alone.discard(key)
        for then in lane.waiting.pop(key):
            then(result)

    def _request(self, lane: _Lane, request: Request, then: Then) -> None:
        key = request[0]
        if key in lane.waiting:
            lane.waiting[key].append(then)
            return
        known = self._units.get(key) or self._cache.get(key)
        if known is not None:
            self.counts[lane.opened.kind].cached += 1
            then(known)
            return
        lane.waiting[key] = [then]
        lane.queue.append(request)

    def _refine(self, item: Item) -> None:
        lane = self._lanes["refiner"][item.refiner]
        text = item.prompt.text
        key = refinement_key(lane.fingerprint, lane.opened.info, text, item.seed)
        self._request(lane, (key, text, item.seed), lambda result: self._refined(item, key, result))

    def _refined(self, item: Item, key: str, result: Value) -> None:
        self._count("refiner", result)
        if not isinstance(result, Refinement):
            self._close_item(item, _failed("refine", result))
            return
        lane = self._lanes["generator"][item.generator]
        request = ClipRequest(result.text, item.seed, item.k, self._plan.settings)
        clip = clip_key(lane.fingerprint, request)
        row = {"refinement": {**plain(result), "key": key}}
        self._request(lane, (clip, request, 0), lambda made: self._made(item, row, made))

    def _made(self, item: Item, row: Mapping[str, Any], result: Value) -> None:
        self._count("generator", result)
        if not isinstance(result, Clip):
            self._close_item(item, {**row, **_failed("generate", result)})
            return
        self._item_rows.append({**self._name(item), "status": "ok", **row, "clip": plain(result)})
        left = [len(self._plan.judges)]
        for lane in self._lanes["judge"]:
            self._judge(item, lane, JudgeRequest(result, item.prompt.text), left)

    def _judge(self, item: Item, lane: _Lane, request: JudgeRequest, left: list[int]) -> None:
        key = score_key(lane.fingerprint, request)

        def judged(result: Value) -> None:
            self._count("judge", result)
            judge = lane.opened.info.name
            row = {**self._name(item), "judge": judge, "clip": request.clip.sha256}
            self._score_rows.append({**row, **_scored(result, lane.opened)})
            left[0] -= 1
            if not left[0]:
                self._under_way -= 1

        self._request(lane, (key, request, 0), judged)

    def _close_item(self, item: Item, failed: Mapping[str, Any]) -> None:
        """An item without a clip is finished; its judgements count as failed in the tables."""
        self._item_rows.append({**self._name(item), **failed})
        self._under_way -= 1
        if "refinement" not in failed:
            self.counts["generator"].total -= 1
        self.counts["judge"].total -= len(self._plan.judges)

    def _count(self, kind: Kind, result: Value) -> None:
        self.counts[kind].done += 1
        self.counts[kind].failed += isinstance(result, Failure)

    def _name(self, item: Item) -> dict[str, Any]:
        return {
            "index": item.index,
            "prompt_id": item.prompt.id,
            "prompt": item.prompt.text,
            "refiner": self._plan.refiners[item.refiner].info.name,
            "generator": self._plan.generators[item.generator].info.name,
            "k": item.k,
            "seed": item.seed,
        }

    def _commit(self) -> None:
        """Keep the round: first the cache, then the rows that refer to it."""
        if self._units:
            self._cache.put(self._units.items(), self._timings)
            self._timings = {}
        self._writer.append(ITEMS, self._item_rows)
        self._writer.append(SCORES, self._score_rows)
        self._units, self._item_rows, self._score_rows = {}, [], []
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            self._writer.sync()
            self._synced = time.monotonic()


def _failed(stage: str, result: Value) -> dict[str, Any]:
    if not isinstance(result, Failure):
        raise TypeError(f"Expected a failure to {stage}, but got {type(result).__name__}.")
    return {"status": "failed", "error": {"stage": stage, **plain(result)}}


def _scored(result: Value, judge: Opened) -> dict[str, Any]:
    if not isinstance(result, Score):
        return {**_failed("judge", result), "sa": None, "pc": None, "joint": None}
    if result.sa is None or result.pc is None:
        row: dict[str, Any] = {"status": "unscored", "sa": None, "pc": None, "joint": None}
    else:
        bar = judge.info.scale.success
        joint = int(result.sa >= bar and result.pc >= bar)
        row = {"status": "scored", "sa": result.sa, "pc": result.pc, "joint": joint}
    return {
        **row,
        "reply": result.reply,
        "rules": list(result.rules),
        "details": dict(result.details),
    }
