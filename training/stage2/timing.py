"""Which trainings take equally long per step, so that earlier ones foretell later ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from phybench.machine.digest import value_digest

from ..recipe.recipe import Recipe

_COUNTS = frozenset(
    {"epochs", "steps", "save_every", "eval_every", "learning_rate", "scheduler", "warmup"}
    | {"weight_decay", "copying", "copying_rate", "clip", "beta", "advantage", "loss"}
    | {"stop_on_hacking", "begin"}
)
"""Values of a stage that leave a step's duration as it is, or nearly."""


def timing_key(recipe: Recipe, stage: Literal["sft", "grpo"]) -> str:
    """Names trainings whose steps take equally long: one model, batch and, for GRPO, reward."""
    own: Mapping[str, Any] = getattr(recipe, stage).model_dump(mode="json")
    parts: dict[str, Any] = {
        "training": stage,
        "device": recipe.device,
        "model": recipe.model.model_dump(mode="json"),
        "stage": {name: value for name, value in own.items() if name not in _COUNTS},
    }
    if stage == "grpo":
        reward = recipe.reward.model_dump(mode="json")
        names = ("generator", "judge", "holdout", "video", "executor", "workers")
        parts["reward"] = {name: reward[name] for name in names}
    return value_digest(parts)
