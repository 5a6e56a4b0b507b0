"""What a training will cost, before it starts: clips, time, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phybench.cache import Cache
from phybench.contracts import VideoSettings
from phybench.plan import fingerprint
from phybench.prompts import load_prompts
from phybench.registry import Opened
from phybench.training.recipe import Recipe
from phybench.training.timing import timing_key

_BYTES_PER_PIXEL = 0.1
"""Upper estimate of our H.264 files per decoded pixel, as in a run's estimate."""


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
    """

    rollouts: int
    training_clips: int
    evaluation_clips: int
    plugin_seconds: float | None
    clip_bytes: int | None
    seconds: float | None

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
    size = clip_bytes(parts[0], recipe)
    clips = training + evaluation
    seconds = [cache.mean_seconds(fingerprint(part)) for part in parts]
    counts = [clips, clips, evaluation][: len(parts)]
    step = cache.mean_seconds(timing_key(recipe, "grpo"))
    known = [each * count for each, count in zip(seconds, counts, strict=True) if each is not None]
    return Forecast(
        rollouts,
        training,
        evaluation,
        sum(known) if len(known) == len(parts) else None,
        None if size is None else size * clips,
        None if step is None else step * grpo.steps,
    )


def clip_bytes(generator: Opened, recipe: Recipe) -> int | None:
    """Upper estimate of one clip's size, or ``None`` where the native format is unknown."""
    native, wishes = generator.info.video, VideoSettings(**recipe.reward.video.model_dump())
    if native is None:
        return None
    sides = [
        getattr(wishes, name) or getattr(native, name) or 0
        for name in ("frames", "width", "height")
    ]
    return round(sides[0] * sides[1] * sides[2] * _BYTES_PER_PIXEL)
