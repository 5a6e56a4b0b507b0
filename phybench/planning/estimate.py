"""What a run will cost, before it starts: units to do, cached ones, time, disk, long texts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phybench.planning.disk_space import clip_bytes
from phybench.planning.plan import Item, Plan, over_budget
from phybench.plugins.abilities import NestedWork, NestsWork
from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    JudgeRequest,
    Refinement,
    VideoSettings,
)
from phybench.plugins.opened import Kind, Opened
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.keys import (
    clip_key,
    fingerprint,
    instrument,
    refinement_key,
    score_key,
    shortening_key,
    view_key,
)
from phybench.video.view_maker import shown_to_judges
from phybench.workers.opening import open_viewer


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one plugin has to do.

    Args:
        kind: Its kind.
        name: Its name.
        units: Distinct units of work that the plan can tell; equal ones are done once.
        cached: Of these, known already.
        unknown: Units that depend on results not there yet (refinements, clips to come).
        seconds: Estimated seconds on one worker, or ``None`` without an earlier timing.
        gpu_gib: GPU memory it needs, GiB.
        usd: What the units to do will cost, or ``None`` where the price is not known.
    """

    kind: Kind
    name: str
    units: int
    cached: int
    unknown: int
    seconds: float | None
    gpu_gib: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class NestedEstimate:
    """What a plugin inside another one has to do.

    Args:
        inside: Name of the plugin that calls it.
        kind: Its kind.
        name: Its name.
        units: Units to do at most; what it knows already is not looked up.
        usd: What they will cost at most, or ``None`` where the price is not known.
    """

    inside: str
    kind: Kind
    name: str
    units: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run has to do.

    Args:
        items: Clips of the matrix.
        stages: Work by plugin.
        nested: Work of plugins that plugins of the plan call, beside that of the stages.
        disk_bytes: Upper estimate of the clips' size where the native format is known.
        over_budget: By generator, how many of the known texts exceed its prompt budget.
    """

    items: int
    stages: tuple[StageEstimate, ...]
    nested: tuple[NestedEstimate, ...]
    disk_bytes: int
    over_budget: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """The estimate in a notebook."""
        return f"<pre>{html.escape(self.to_text())}</pre>"

    def to_text(self) -> str:
        """The estimate for a person."""
        lines = [f"{self.items} items, up to {self.disk_bytes / 2**20:.1f} MiB of new clips"]
        for stage in self.stages:
            todo = _todo(stage)
            time = "time unknown" if stage.seconds is None else f"about {stage.seconds:.0f} s"
            gpu = f", {stage.gpu_gib:g} GiB GPU" if stage.gpu_gib else ""
            money = f", about {stage.usd:.2f} USD" if stage.usd is not None else ""
            lines.append(
                f"  {stage.kind:9} {stage.name}: {todo} to do ({stage.cached} cached), "
                f"{time}{gpu}{money}"
            )
        for one in self.nested:
            money = "" if one.usd is None else f", about {one.usd:.2f} USD"
            lines.append(f"  {one.kind:9} {one.name} in {one.inside}: up to {one.units}{money}")
        for name, count in self.over_budget.items():
            if count:
                lines.append(f"  {count} texts exceed the prompt budget of {name}")
        return "\n".join(lines)


@dataclass(slots=True)
class _Tally:
    known: dict[str, bool]
    unknown: int = 0

    def add(self, key: str, *, cached: bool) -> None:
        self.known[key] = cached


def estimate(plan: Plan, cache: Cache) -> Estimate:
    """Look every unit of a plan up in the cache, without doing any."""
    stages = _opened(plan)
    tallies: dict[tuple[Kind, int], _Tally] = {
        (kind, number): _Tally({})
        for kind, opened in stages.items()
        for number in range(len(opened))
    }
    for item in plan.items():
        _tally_item(plan, cache, item, tallies)
    found = tuple(
        _stage(plan, cache, stages[kind][number], tally)
        for (kind, number), tally in tallies.items()
    )
    inside = [
        (work, stage)
        for (kind, number), stage in zip(tallies, found, strict=True)
        for work in _work_inside(stages[kind][number])
    ]
    nested = tuple(_nested(work, stage) for work, stage in inside)
    disk = _disk(plan, found) + _nested_disk(inside)
    return Estimate(plan.size, found, nested, disk, over_budget(plan))


def _work_inside(opened: Opened) -> Sequence[NestedWork]:
    return opened.plugin.nested() if isinstance(opened.plugin, NestsWork) else ()


def _todo(stage: StageEstimate) -> int:
    return stage.units - stage.cached + stage.unknown


def _nested(work: NestedWork, stage: StageEstimate) -> NestedEstimate:
    units = work.units * _todo(stage)
    price = work.info.usd_per_unit
    usd = None if price is None else price * units
    return NestedEstimate(stage.name, work.kind, work.info.name, units, usd)


def _nested_disk(inside: Sequence[tuple[NestedWork, StageEstimate]]) -> int:
    """Bytes of the clips that plugins make for themselves, in their generator's own format."""
    return round(
        sum(
            work.units * _todo(stage) * clip_bytes(work.info, VideoSettings())
            for work, stage in inside
            if work.kind == "generator"
        )
    )


def _opened(plan: Plan) -> dict[Kind, tuple[Opened, ...]]:
    """What does the work, by stage."""
    by_kind = plan.by_kind()
    if plan.view is None:
        return by_kind
    view = (open_viewer(plan.view),)
    return {
        "refiner": by_kind["refiner"],
        "generator": by_kind["generator"],
        "view": view,
        "judge": by_kind["judge"],
    }


def _tally_item(
    plan: Plan, cache: Cache, item: Item, tallies: Mapping[tuple[Kind, int], _Tally]
) -> None:
    refined = _refinement(plan, cache, item, tallies["refiner", item.refiner])
    generator = tallies["generator", item.generator]
    clip = None
    if refined is None:
        generator.unknown += 1
    else:
        request = ClipRequest(refined.text, item.seed, item.k, plan.settings)
        key = clip_key(fingerprint(plan.generators[item.generator]), request)
        clip = cache.get(key)
        generator.add(key, cached=clip is not None)
    seen = clip if plan.view is None else _seen(plan, cache, clip, tallies["view", 0])
    for number, opened in enumerate(plan.judges):
        tally = tallies["judge", number]
        if isinstance(seen, Clip):
            request_key = score_key(
                instrument(opened, plan.view), JudgeRequest(seen, item.prompt.text)
            )
            tally.add(request_key, cached=cache.get(request_key) is not None)
        else:
            tally.unknown += 1


def _seen(plan: Plan, cache: Cache, clip: Value | None, tally: _Tally) -> Clip | None:
    """The clip as judges see it, if that is known already."""
    if not isinstance(clip, Clip) or plan.view is None:
        tally.unknown += 1
        return None
    if clip.path is None:
        return clip
    key = view_key(fingerprint(open_viewer(plan.view)), clip)
    viewed = cache.get(key)
    tally.add(key, cached=viewed is not None)
    return shown_to_judges(clip, viewed, plan.view) if isinstance(viewed, Clip) else None


def _refinement(plan: Plan, cache: Cache, item: Item, tally: _Tally) -> Refinement | None:
    """The text that the generator will get, if that is known already."""
    opened = plan.refiners[item.refiner]
    text = item.prompt.text
    key = refinement_key(fingerprint(opened), opened.info, text, item.seed)
    found = cache.get(key)
    tally.add(key, cached=found is not None)
    if found is None and opened.info.free:
        made = opened.plugin.refine([text], [item.seed])[0]
        found = None if isinstance(made, Failure) else made
    if not isinstance(found, Refinement):
        return None
    asked = plan.sent_back(item, found)
    if asked is None:
        return found
    key = shortening_key(fingerprint(opened), opened.info, asked, item.seed)
    again = cache.get(key)
    tally.add(key, cached=again is not None)
    return again if isinstance(again, Refinement) else None


def _stage(plan: Plan, cache: Cache, opened: Opened, tally: _Tally) -> StageEstimate:
    cached = sum(tally.known.values())
    todo = len(tally.known) - cached + tally.unknown
    digest = instrument(opened, plan.view) if opened.kind == "judge" else fingerprint(opened)
    mean = cache.mean_seconds(digest)
    return StageEstimate(
        opened.kind,
        opened.info.name,
        len(tally.known),
        cached,
        tally.unknown,
        None if mean is None else mean * todo,
        opened.info.gpu_gib,
        None if opened.info.usd_per_unit is None else opened.info.usd_per_unit * todo,
    )


def _disk(plan: Plan, stages: tuple[StageEstimate, ...]) -> int:
    sizes = {
        opened.info.name: clip_bytes(opened.info, plan.settings, plan.view)
        for opened in plan.generators
    }
    return round(
        sum(_todo(stage) * sizes[stage.name] for stage in stages if stage.kind == "generator")
    )
