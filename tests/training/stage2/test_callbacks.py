"""What watches over stage 2: the alarm, and the stop when the log looks like reward hacking."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from phybench.training.stage2 import callbacks
from phybench.training.stage2.callbacks import FlatGroupsAlarm, HackingStop, hacking
from phybench.training.stage2.grpo import HackingError, train_grpo
from phybench.training.stage2.reward_log import append_rows


def test_flat_groups_raise_an_alarm():
    told = []
    alarm = FlatGroupsAlarm(told.append)
    for zero, share in ((True, 0.3), (False, 0.9), (True, 0.31), (True, 0.9)):
        state = SimpleNamespace(global_step=5, is_world_process_zero=zero)
        alarm.on_log(None, state, None, {"frac_reward_zero_std": share})
    assert len(told) == 1
    assert "31%" in told[0]


def hacked_log(path, steps=60):
    """A reward that rises, at training and at evaluations, while the hold-out judge stays flat."""
    rng = np.random.default_rng(0)
    rows = []
    for step in range(1, steps + 1):
        risen = 0.2 + 0.01 * step
        rows.append({"step": step, "reward": risen + rng.normal(0, 0.01)})
        if step % 3 == 0:
            held = 0.3 + rng.normal(0, 0.01)
            rows.append({"step": step, "eval_reward": risen, "eval_holdout": held})
    append_rows(path, rows)


def test_reward_up_and_holdout_flat_is_seen_as_hacking(tmp_path):
    log = tmp_path / "log.jsonl"
    assert hacking(log) == ""
    hacked_log(log, steps=20)
    assert hacking(log) == ""  # too little to tell
    log.unlink()
    hacked_log(log)
    assert "hold-out judge lags" in hacking(log)


@pytest.mark.slow
def test_hacking_stops_training_and_leaves_no_finished_checkpoint(tiny, workplace, monkeypatch):
    recipe = tiny(workplace / "o", "grpo.steps=4", "grpo.eval_every=1", "reward.holdout=oracle")
    path = recipe.final / "training" / "log.jsonl"
    inner = callbacks.JsonlLog.on_train_begin

    def begin(self, args, state, control, **options):
        inner(self, args, state, control, **options)
        hacked_log(path, steps=240)

    monkeypatch.setattr(callbacks.JsonlLog, "on_train_begin", begin)
    with pytest.raises(HackingError, match="hold-out judge lags"):
        train_grpo(recipe, print)
    assert not (recipe.final / "phyprompt.json").exists()
    assert HackingStop(path).reason == ""
