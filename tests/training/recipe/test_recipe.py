from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from phybench.errors import ConfigError
from phybench.training.recipe.recipe import bundled, load_recipe

RECIPES = ["phyprompt-1.5b", "phyprompt-3b", "phyprompt-7b", "phyprompt-mini"]


def test_the_recipes_are_there():
    assert list(bundled()) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_bundled_recipes_hold_what_the_paper_gives(name):
    recipe = load_recipe(name)
    assert (recipe.grpo.group, recipe.grpo.clip, recipe.grpo.advantage) == (4, 0.2, "mean")
    assert recipe.reward.schedule == "exponential"
    assert recipe.grpo.beta > 0
    assert recipe.final == Path("checkpoints") / name


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_says_whether_it_is_the_papers_or_ours(name):
    for line in bundled()[name].read_text("utf-8").splitlines():
        holds_value = re.match(r"\s*[a-z_]+:\s*[^#\s]", line)
        if holds_value:
            assert re.search(r"# (paper|ours)\b", line), line


def test_values_are_changed_by_path_and_checked():
    recipe = load_recipe(
        "phyprompt-7b", ["grpo.steps=3", "model.path=/tiny", "grpo.lora=null", "device=cpu"]
    )
    assert (recipe.grpo.steps, recipe.model.path, recipe.grpo.lora) == (3, "/tiny", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("grpo.stepz=3", "grpo.stepz"),
        ("grpo.clip=-1", "grpo.clip"),
        ("reward.schedule=sudden", "reward.schedule"),
        ("size=../x", "size"),
        ("grpo.ddp_timeout_s=60", "grpo.ddp_timeout_s"),
        ("model.path=''", "either `path` or `scratch`"),
        ("grpo.warmup=0.1", "`constant` ignores a warmup of 0.1"),
        ("sft.scheduler=constant", "`constant` ignores a warmup of 0.03"),
        ("steps", "--set key=value"),
        ("size.x.y=1", "size.x.y"),
    ],
)
def test_wrong_changes_are_named(change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_recipe("phyprompt-7b", [change])


def test_checkpoints_lie_on_rollout_boundaries():
    with pytest.raises(ConfigError, match="multiple of `iterations` = 2"):
        load_recipe("phyprompt-mini", ["grpo.iterations=2", "grpo.save_every=3"])


def test_unknown_recipes_get_suggestions_and_files_are_read(tmp_path):
    with pytest.raises(ConfigError, match="phyprompt-7b"):
        load_recipe("phyprompt-8b")
    with pytest.raises(ConfigError, match="Cannot read recipe"):
        load_recipe(str(tmp_path / "none.yaml"))
    data = yaml.safe_load(bundled()["phyprompt-mini"].read_text("utf-8"))
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({**data, "size": "own"}))
    assert load_recipe(str(own)).size == "own"


def test_instructions_are_a_bundled_prompt_or_the_text_itself():
    assert load_recipe("phyprompt-7b").instructions.startswith("Rewrite the user's text")
    assert load_recipe("phyprompt-mini").instructions == "Physics first."
