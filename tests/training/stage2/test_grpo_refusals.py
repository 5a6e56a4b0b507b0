"""What stage 2 refuses before it trains."""

from __future__ import annotations

import math

import pytest

from phybench.errors import ConfigError
from phybench.training.stage2.grpo import (
    check_start,
    grpo_config,
    open_reward,
)


def test_batches_that_cannot_be_shared_out_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"\(8\) to be a multiple of `micro_batch`"):
        grpo_config(tiny(tmp_path, "grpo.micro_batch=3"), tmp_path)


def test_stage_two_wants_stage_one_of_the_same_instructions(tiny, tmp_path):
    with pytest.raises(ConfigError, match="phybench train sft"):
        check_start(tiny(tmp_path, f"sft_checkpoint='{tmp_path / 'none'}'"))
    with pytest.raises(ConfigError, match="system prompt"):
        check_start(tiny(tmp_path, "system_prompt=Something else."))
    check_start(tiny(tmp_path))


def test_the_holdout_must_be_another_judge(tiny, tmp_path):
    with pytest.raises(ConfigError, match="another judge"):
        open_reward(tiny(tmp_path, "reward.holdout=kinematic"), print)
    with pytest.raises(ConfigError, match=r"reward\.judge"):
        open_reward(tiny(tmp_path, "reward.judge=oracle", "reward.holdout=''"), print)
    assert math.isclose(open_reward(tiny(tmp_path), print)[1].info.scale.high, 5)
