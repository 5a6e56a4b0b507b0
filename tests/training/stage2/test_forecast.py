"""What a training will cost, before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phybench.training.recipe.recipe import load_recipe
from phybench.training.stage2.forecast import forecast
from phybench.training.stage2.grpo import open_reward
from phybench.units.cache import Cache
from phybench.units.keys import fingerprint


def test_gpu_hours_and_money_are_those_of_the_plugins_that_cost_them(tmp_path):
    """10 steps of 16 x 4 clips, and evaluations of 32 prompts at steps 0, 5 and 10."""
    recipe = load_recipe("phyprompt-mini", ["grpo.steps=10", "grpo.eval_every=5"])
    generator, *judges = open_reward(recipe, print)
    paid = replace(generator, info=replace(generator.info, usd_per_unit=0.5, gpu_gib=24.0))
    parts = (paid, *judges)
    with Cache(tmp_path) as cache:
        unknown = forecast(recipe, parts, cache)
        assert (unknown.training_clips, unknown.evaluation_clips) == (640, 96)
        assert unknown.usd == 368.0
        assert unknown.gpu_seconds is None
        assert "368.00 USD" in unknown.to_text()
        cache.put([], {fingerprint(paid): (10, 450.0), fingerprint(judges[0]): (10, 5.0)})
        timed = forecast(recipe, parts, cache)
        assert timed.gpu_seconds == pytest.approx(736 * 45)
        assert timed.plugin_seconds is None  # the hold-out was never timed
        free = forecast(recipe, (generator, *judges), cache)
        assert (free.usd, free.gpu_seconds) == (None, 0)
        cache.put([], {fingerprint(judges[1]): (1, 1.0)})
        assert "(9.2 GPU-hours)" in forecast(recipe, parts, cache).to_text()
