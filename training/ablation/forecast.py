"""What an ablation will cost, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phybench.plugins.opened import Opened
from phybench.units.cache import Cache
from phybench.units.keys import fingerprint

from ..recipe.recipe import Recipe
from ..setup import finished
from ..stage2.forecast import forecast, size_of_clip, total
from .ablation import Ablation, evaluated_arms

_STATES = 2
"""Trainer states that are kept; each holds the weights and AdamW's two moments."""


@dataclass(frozen=True, slots=True)
class AblationForecast:
    """What is to be done; upper bounds, as equal texts and cached clips cost nothing.

    Args:
        trainings: Stage-2 trainings in all.
        trainings_left: Of these, not finished yet.
        stage_one_left: Whether stage 1 has to be done first.
        training_clips: Clips for rewards and the trainings' own evaluations, of those left.
        evaluated_arms: Refiners on the test set, references included.
        evaluation_clips: Clips of the test set.
        training_seconds: Of the trainings left, by earlier ones like them on this machine;
            ``None`` without one.
        evaluation_seconds: Of generator and judges on one worker each, refining not included;
            ``None`` where one was never timed.
        clip_bytes: Size of new clips, or ``None`` where the native format is unknown.
        checkpoint_bytes: Size of checkpoints and trainer states, or ``None`` before stage 1. An
            adapter's states are small and left out.
        commands: By training, a command line that does it alone, for a machine elsewhere.
    """

    trainings: int
    trainings_left: int
    stage_one_left: bool
    training_clips: int
    evaluated_arms: int
    evaluation_clips: int
    training_seconds: float | None
    evaluation_seconds: float | None
    clip_bytes: int | None
    checkpoint_bytes: int | None
    commands: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The forecast for a person."""
        first = "stage 1 first, then " if self.stage_one_left else ""
        disk = [
            f"up to {size / 2**30:.2f} GiB of {what}" if size is not None else f"{what}: unknown"
            for size, what in (
                (self.clip_bytes, "clips"),
                (self.checkpoint_bytes, "checkpoints and states"),
            )
        ]
        return (
            f"{first}{self.trainings_left} of {self.trainings} trainings with at most "
            f"{self.training_clips} clips ({_time(self.training_seconds)}); evaluation of "
            f"{self.evaluated_arms} arms with at most {self.evaluation_clips} clips "
            f"({_time(self.evaluation_seconds)} of generator and judges); {', '.join(disk)}"
        )


def _time(seconds: float | None) -> str:
    return "time unknown" if seconds is None else f"about {seconds / 60:.1f} minutes"


def forecast_ablation(
    ablation: Ablation, parts: Sequence[Opened], cache: Cache
) -> AblationForecast:
    """Count what is left to do.

    Args:
        ablation: The plan.
        parts: Generator, judge and, if there is one, hold-out judge.
        cache: Where earlier timings are kept.
    """
    left = [each for each in ablation.trainings if not finished(each.recipe.final, "grpo")]
    costs = [forecast(each.recipe, parts, cache) for each in left]
    arms = sum(map(len, evaluated_arms(ablation).values()))
    clips = arms * len(ablation.test_set().prompts) * ablation.seeds
    trained = sum(cost.training_clips + cost.evaluation_clips for cost in costs)
    size = size_of_clip(parts[0], ablation.recipe)
    return AblationForecast(
        trainings=len(ablation.trainings),
        trainings_left=len(left),
        stage_one_left=not finished(ablation.recipe.start, "sft"),
        training_clips=trained,
        evaluated_arms=arms,
        evaluation_clips=clips,
        training_seconds=total([cost.seconds for cost in costs]),
        evaluation_seconds=total(
            [_times(cache.mean_seconds(fingerprint(part)), clips) for part in parts]
        ),
        clip_bytes=None if size is None else size * (trained + clips),
        checkpoint_bytes=_checkpoint_bytes(ablation.recipe, len(ablation.trainings)),
        commands={each.arm: each.command for each in ablation.trainings},
    )


def _times(value: float | None, count: int) -> float | None:
    return None if value is None else value * count


def _checkpoint_bytes(recipe: Recipe, trainings: int) -> int | None:
    weights = sum(path.stat().st_size for path in recipe.start.glob("*.safetensors"))
    if not weights:
        return None
    states = 0 if recipe.grpo.lora else 3 * _STATES
    return trainings * weights * (1 + states)
