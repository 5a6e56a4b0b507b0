"""What a run will cost, before it starts: units to do, cached ones, time, disk, long texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from phybench.cache import Cache
from phybench.contracts import Clip, ClipRequest, Failure, JudgeRequest, Refinement
from phybench.plan import Item, Plan, clip_key, fingerprint, over_budget, refinement_key, score_key
from phybench.registry import Kind

_BYTES_PER_PIXEL = 0.1
"""Size of our H.264 files per decoded pixel; measured on tabletop clips it is below 0.05."""


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
    """

    kind: Kind
    name: str
    units: int
    cached: int
    unknown: int
    seconds: float | None
    gpu_gib: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run has to do.

    Args:
        items: Clips of the matrix.
        stages: Work by plugin.
        disk_bytes: Upper estimate of the clips' size where the native format is known.
        over_budget: By generator, how many of the known texts exceed its prompt budget.
    """

    items: int
    stages: tuple[StageEstimate, ...]
    disk_bytes: int
    over_budget: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The estimate for a person."""
        lines = [f"{self.items} items, up to {self.disk_bytes / 2**20:.1f} MiB of new clips"]
        for stage in self.stages:
            todo = stage.units - stage.cached + stage.unknown
            time = "time unknown" if stage.seconds is None else f"about {stage.seconds:.0f} s"
            gpu = f", {stage.gpu_gib:g} GiB GPU" if stage.gpu_gib else ""
            lines.append(
                f"  {stage.kind:9} {stage.name}: {todo} to do ({stage.cached} cached), {time}{gpu}"
            )
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
    tallies: dict[tuple[Kind, int], _Tally] = {
        (kind, number): _Tally({})
        for kind, opened in plan.by_kind().items()
        for number in range(len(opened))
    }
    for item in plan.items():
        _tally_item(plan, cache, item, tallies)
    stages = tuple(
        _stage(plan, cache, kind, number, tally) for (kind, number), tally in tallies.items()
    )
    return Estimate(plan.size, stages, _disk(plan, stages), over_budget(plan))


def _tally_item(
    plan: Plan, cache: Cache, item: Item, tallies: Mapping[tuple[Kind, int], _Tally]
) -> None:
    refined = _refinement(plan, cache, item, tallies["refiner", item.refiner])
    generator = tallies["generator", item.generator]
    judges = [tallies["judge", number] for number in range(len(plan.judges))]
    clip = None
    if refined is None:
        generator.unknown += 1
    else:
        request = ClipRequest(refined.text, item.seed, item.k, plan.settings)
        key = clip_key(fingerprint(plan.generators[item.generator]), request)
        clip = cache.get(key)
        generator.add(key, cached=clip is not None)
    for opened, tally in zip(plan.judges, judges, strict=True):
        if isinstance(clip, Clip):
            request_key = score_key(fingerprint(opened), JudgeRequest(clip, item.prompt.text))
            tally.add(request_key, cached=cache.get(request_key) is not None)
        else:
            tally.unknown += 1


def _refinement(plan: Plan, cache: Cache, item: Item, tally: _Tally) -> Refinement | None:
    opened = plan.refiners[item.refiner]
    text = item.prompt.text
    key = refinement_key(fingerprint(opened), opened.info, text, item.seed)
    found = cache.get(key)
    tally.add(key, cached=found is not None)
    if found is None and opened.info.free:
        made = opened.plugin.refine([text], [item.seed])[0]
        found = None if isinstance(made, Failure) else made
    return found if isinstance(found, Refinement) else None


def _stage(plan: Plan, cache: Cache, kind: Kind, number: int, tally: _Tally) -> StageEstimate:
    opened = plan.by_kind()[kind][number]
    cached = sum(tally.known.values())
    todo = len(tally.known) - cached + tally.unknown
    mean = cache.mean_seconds(fingerprint(opened))
    seconds = None if mean is None else mean * todo
    return StageEstimate(
        kind,
        opened.info.name,
        len(tally.known),
        cached,
        tally.unknown,
        seconds,
        opened.info.gpu_gib,
    )


def _disk(plan: Plan, stages: tuple[StageEstimate, ...]) -> int:
    total = 0.0
    natives = {opened.info.name: opened.info.video for opened in plan.generators}
    for stage in stages:
        native = natives.get(stage.name) if stage.kind == "generator" else None
        if native is None:
            continue
        frames, width, height = (
            getattr(plan.settings, name) or getattr(native, name) or 0
            for name in ("frames", "width", "height")
        )
        clips = stage.units - stage.cached + stage.unknown
        total += clips * frames * width * height * _BYTES_PER_PIXEL
    return round(total)
