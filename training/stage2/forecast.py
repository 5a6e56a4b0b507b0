"""What a training will cost, before it starts: clips, time, GPU time, money, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phybench.planning.disk_space import clip_bytes
from phybench.plugins.contracts import VideoSettings
from phybench.plugins.opened import Opened
from phybench.prompts.prompt_sets import load_prompts
from phybench.units.cache import Cache
from phybench.units.keys import fingerprint

from ..recipe.recipe import Recipe
from .timing import timing_key


@dataclass(frozen=True, slots=True)
class Forecast:
    """What stage 2 has to do; upper bounds, as equal replies and cached clips cost nothing.

    Args:
        rollouts: Times that replies are sampled.
        training_clips: Clips for rewards.
        evaluation_clips: Clips of the evaluations.
        plugin_seconds: Seconds of generator and judges on one worker each, or ``None`` where one
            was never timed on this machine.
        clip_bytes: Size of the new clips, or ``None`` where the native format is unknown.
        seconds: Of the whole stage by the steps of earlier trainings like this one on this machine,
            or ``None`` without one.
        gpu_seconds: Of those plugins that need a GPU, 0 if none does, or ``None`` where one was
            never timed; the trainer's own GPU is not in it.
        usd: What plugins with a known price will cost, or ``None`` if there is none.
    """

    rollouts: int
    training_clips: int
    evaluation_clips: int
    plugin_seconds: float | None
    clip_bytes: int | None
    seconds: float | None
    gpu_seconds: float | None
    usd: float | None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The forecast for a person."""
        clips = self.training_clips + self.evaluation_clips
        time = "time unknown: run one evaluation with these plugins first"
        if self.plugin_seconds is not None:
            time = f"about {self.plugin_seconds / 3600:.2f} hours of generator and judges"
        if self.seconds is not None:
            time += f", {self.seconds / 60:.1f} minutes in all by earlier trainings"
        if self.gpu_seconds:
            time += f" ({self.gpu_seconds / 3600:.1f} GPU-hours)"
        if self.usd is not None:
            time += f", about {self.usd:.2f} USD"
        disk = "size unknown"
        if self.clip_bytes is not None:
            disk = f"up to {self.clip_bytes / 2**30:.2f} GiB"
        return (
            f"{self.rollouts} rollouts, at most {clips} clips ({self.training_clips} for rewards, "
            f"{self.evaluation_clips} for evaluations; {disk}), {time}"
        )


def forecast(recipe: Recipe, parts: Sequence[Opened], cache: Cache) -> Forecast:
    """Count what a recipe's stage 2 will do.

    Args:
        recipe: The recipe.
        parts: Generator, judge and, if there is one, hold-out judge.
        cache: Where earlier timings are kept.
    """
    grpo = recipe.grpo
    rollouts = -(-grpo.steps // grpo.iterations)
    training = rollouts * grpo.prompts_per_step * grpo.group
    prompts = len(load_prompts(grpo.eval_prompts, grpo.eval_limit).prompts)
    # The clips' seeds of evaluations are fixed, but their texts change with the model.
    evaluation = (1 + grpo.steps // grpo.eval_every) * prompts
    size = size_of_clip(parts[0], recipe)
    clips = training + evaluation
    seconds = [cache.mean_seconds(fingerprint(part)) for part in parts]
    counts = [clips, clips, evaluation][: len(parts)]
    step = cache.mean_seconds(timing_key(recipe, "grpo"))
    times = [
        None if each is None else each * count for each, count in zip(seconds, counts, strict=True)
    ]
    on_gpu = [time for time, part in zip(times, parts, strict=True) if part.info.gpu_gib]
    prices = [
        part.info.usd_per_unit * count
        for part, count in zip(parts, counts, strict=True)
        if part.info.usd_per_unit is not None
    ]
    return Forecast(
        rollouts,
        training,
        evaluation,
        total(times),
        None if size is None else size * clips,
        None if step is None else step * grpo.steps,
        total(on_gpu),
        sum(prices) if prices else None,
    )


def total(values: Sequence[float | None]) -> float | None:
    """Their sum, or ``None`` if one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def size_of_clip(generator: Opened, recipe: Recipe) -> int | None:
    """Upper estimate of one clip's bytes as a run makes it, or ``None`` where no format is known.

    Args:
        generator: What makes the clip.
        recipe: Its wishes for the clip's format.
    """
    wishes = VideoSettings(**recipe.reward.video.model_dump())
    return round(clip_bytes(generator.info, wishes)) or None
