"""refine → generate → view → judge, streamed: an item moves on as soon as it can.

At most a window of items is under way, which bounds every queue and the memory, and makes fast
stages wait for slow ones. How a single unit is done is the business of
:mod:`phybench.workers.queue`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from phybench.planning.plan import Item, Plan
from phybench.plugins.contracts import Clip, ClipRequest, Failure, JudgeRequest, Refinement, Score
from phybench.plugins.opened import Kind, Opened
from phybench.prompts.length_budget import Shortening
from phybench.runs.folder import ITEMS, SCORES, RunWriter
from phybench.units.cache import Cache
from phybench.units.codec import Value, plain
from phybench.units.keys import (
    clip_key,
    fingerprint,
    instrument,
    refinement_key,
    score_key,
    shortening_key,
    view_key,
)
from phybench.units.unit import Unit
from phybench.video.view_maker import shown_to_judges
from phybench.workers.executor import Executor
from phybench.workers.opening import open_viewer
from phybench.workers.queue import Lane, Lanes, Then

_WINDOW = 512
"""Items under way at most; enough to fill every batch of every lane, little enough for memory."""
_SYNC_EVERY_S = 1.0


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
        self._writer = writer
        self._progress = progress
        self._todo: Iterator[Item] = (one for one in plan.items() if not finished[one.index])
        left = plan.size - sum(map(bool, finished))
        self.counts: dict[Kind, StageCount] = {
            "refiner": StageCount(left),
            "generator": StageCount(left),
            **({"view": StageCount(left)} if plan.view else {}),
            "judge": StageCount(left * len(plan.judges)),
        }
        self._all = Lanes(executor, cache)
        self._refiners = self._open(plan.refiners)
        self._generators = self._open(plan.generators)
        self._view = self._open([open_viewer(plan.view)])[0] if plan.view else None
        self._judges = [
            self._all.open(judge, instrument(judge, plan.view)) for judge in plan.judges
        ]
        self._synced = time.monotonic()
        self._under_way = 0
        self._item_rows: list[dict[str, Any]] = []
        self._score_rows: list[dict[str, Any]] = []

    def run(self) -> None:
        """Do every item that is not finished.

        Raises:
            StorageError: If the disk refuses a write; what was finished is kept.
        """
        while True:
            fed = self._feed()
            self._all.dispatch()
            if not self._all.settle() and not fed:
                break
            self._commit()
            self._progress(self.counts)
        self._commit()
        self._writer.sync()

    def _open(self, plugins: Sequence[Opened]) -> list[Lane]:
        return [self._all.open(one, fingerprint(one)) for one in plugins]

    def _feed(self) -> int:
        """Start items until the window is full; cached ones finish at once."""
        room = _WINDOW - self._under_way
        fed = 0
        for item in itertools.islice(self._todo, room):
            self._under_way += 1
            self._refine(item)
            fed += 1
        return fed

    def _request(self, lane: Lane, unit: Unit, then: Then) -> None:
        known = self._all.request(lane, unit, then)
        self.counts[lane.opened.kind].cached += known

    def _refine(self, item: Item) -> None:
        lane = self._refiners[item.refiner]
        text = item.prompt.text
        key = refinement_key(lane.fingerprint, lane.opened.info, text, item.seed)
        unit = Unit(key, "refine", text, item.seed)
        self._request(lane, unit, lambda result: self._refined(item, key, result))

    def _refined(self, item: Item, key: str, result: Value) -> None:
        self._count("refiner", result)
        if not isinstance(result, Refinement):
            self._close_item(item, _failed("refine", result))
            return
        asked = self._plan.sent_back(item, result)
        if asked is None:
            self._generate(item, key, result)
        else:
            self._send_back(item, key, result, asked)

    def _send_back(self, item: Item, key: str, first: Refinement, asked: Shortening) -> None:
        lane = self._refiners[item.refiner]
        again = shortening_key(lane.fingerprint, lane.opened.info, asked, item.seed)
        record = {"budget": asked.budget, "tokens": asked.tokens, "text": first.text, "key": key}

        def shortened(result: Value) -> None:
            if isinstance(result, Refinement):
                cost = first.cost_usd + result.cost_usd
                meta = {**result.meta, "sent_back": record}
                self._generate(item, again, replace(result, cost_usd=cost, meta=meta))
            else:
                self.counts["refiner"].failed += 1
                self._close_item(item, {**_failed("refine", result), "sent_back": record})

        self._all.request(lane, Unit(again, "shorten", asked, item.seed), shortened)

    def _generate(self, item: Item, key: str, refinement: Refinement) -> None:
        lane = self._generators[item.generator]
        request = ClipRequest(refinement.text, item.seed, item.k, self._plan.settings)
        clip = clip_key(lane.fingerprint, request)
        row = {"refinement": {**plain(refinement), "key": key}}
        unit = Unit(clip, "generate", request)
        self._request(lane, unit, lambda made: self._made(item, row, made))

    def _made(self, item: Item, row: Mapping[str, Any], result: Value) -> None:
        self._count("generator", result)
        if not isinstance(result, Clip):
            self._close_item(item, {**row, **_failed("generate", result)})
            return
        row = {**row, "clip": plain(result)}
        if self._view is None or result.path is None:
            self._skip_view()
            self._close_with_clip(item, row, result)
            return
        unit = Unit(view_key(self._view.fingerprint, result), "view", result)
        self._request(self._view, unit, lambda seen: self._viewed(item, row, result, seen))

    def _viewed(self, item: Item, row: Mapping[str, Any], native: Clip, result: Value) -> None:
        self._count("view", result)
        if not isinstance(result, Clip) or self._plan.view is None:
            self._close_item(item, {**row, **_failed("view", result)})
            return
        seen = shown_to_judges(native, result, self._plan.view)
        self._close_with_clip(item, {**row, "view": plain(seen)}, seen)

    def _close_with_clip(self, item: Item, row: Mapping[str, Any], seen: Clip) -> None:
        """An item is done but for its judgements of the clip as it is seen."""
        self._item_rows.append({**self._name(item), "status": "ok", **row})
        left = [len(self._judges)]
        for lane in self._judges:
            self._judge(item, lane, JudgeRequest(seen, item.prompt.text), row, left)

    def _judge(
        self,
        item: Item,
        lane: Lane,
        request: JudgeRequest,
        made: Mapping[str, Any],
        left: list[int],
    ) -> None:
        key = score_key(lane.fingerprint, request)
        digests = {name: made[name]["sha256"] for name in ("clip", "view") if name in made}

        def judged(result: Value) -> None:
            self._count("judge", result)
            row = {**self._name(item), "judge": lane.opened.info.name, **digests}
            self._score_rows.append({**row, **_scored(result, lane.opened)})
            left[0] -= 1
            if not left[0]:
                self._under_way -= 1

        self._request(lane, Unit(key, "judge", request), judged)

    def _close_item(self, item: Item, failed: Mapping[str, Any]) -> None:
        """An item without a clip to judge is finished; its judgements count as failed."""
        self._item_rows.append({**self._name(item), **failed})
        self._under_way -= 1
        if "refinement" not in failed:
            self.counts["generator"].total -= 1
        if failed["error"]["stage"] != "view":
            self._skip_view()
        self.counts["judge"].total -= len(self._plan.judges)

    def _skip_view(self) -> None:
        if "view" in self.counts:
            self.counts["view"].total -= 1

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
        self._all.commit()
        self._writer.append(ITEMS, self._item_rows)
        self._writer.append(SCORES, self._score_rows)
        self._item_rows, self._score_rows = [], []
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
    success = result.success(judge.info.scale)
    return {
        "status": "unscored" if success is None else "scored",
        "sa": result.sa,
        "pc": result.pc,
        "joint": None if success is None else int(success),
        "reply": result.reply,
        "rules": list(result.rules),
        "details": dict(result.details),
    }
