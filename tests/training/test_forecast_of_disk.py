"""The disk that a training's clips need is what the same clips need in a run."""

from __future__ import annotations

from phybench.planning.disk_space import clip_bytes
from phybench.plugins.contracts import VideoSettings
from phybench.training.recipe.recipe import load_recipe
from phybench.training.stage2.forecast import forecast
from phybench.training.stage2.grpo import open_reward
from phybench.units.cache import Cache


def test_a_clip_takes_as_many_bytes_in_training_as_in_a_run(tmp_path) -> None:
    recipe = load_recipe("phyprompt-mini", ["grpo.steps=10", "grpo.eval_every=5"])
    parts = open_reward(recipe, print)
    wishes = VideoSettings(**recipe.reward.video.model_dump())
    with Cache(tmp_path) as cache:
        found = forecast(recipe, parts, cache)
    clips = found.training_clips + found.evaluation_clips
    assert found.clip_bytes == clips * round(clip_bytes(parts[0].info, wishes))
