"""Stage 2 with TRL's real trainer on a tiny real model: its traps, and its arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tools.training.stage2_parts import Plain, Words, advantages_of, opened

from phybench.machine.files import read_jsonl
from phybench.plugins.contracts import Failure
from phybench.refiners.rewriting.replies import ReplyError, check_rewrite, read_reasoning
from phybench.training.stage2.callbacks import LOG
from phybench.training.stage2.clip_scores import ClipScores
from phybench.training.stage2.curriculum import weight_at
from phybench.training.stage2.grpo import (
    build_trainer,
    grpo_config,
    rollout_dataset,
)
from phybench.workers.serial import SerialExecutor


@pytest.fixture
def bench(tiny, tmp_path):
    """Builds our trainer on the tiny model with the plain plugins."""
    services = []

    def make(*changes, output="out", **options):
        recipe = tiny(tmp_path / output, *changes)
        work = recipe.final / "training"
        work.mkdir(parents=True, exist_ok=True)
        parts = (opened("generator", Plain()), opened("judge", Words()))
        services.append(ClipScores(parts[0], parts[1:], tmp_path / "cache", SerialExecutor))
        trainer = build_trainer(recipe, work, services[-1], parts, tiny.notes.append)
        trainer.work = work
        return trainer

    yield make
    for service in services:
        service.close()


def rewards(trainer, split="train"):
    rows = read_jsonl(trainer.work / "rewards-rank0.jsonl")
    return [row for row in rows if row["split"] == split]


def recorded(trainer):
    """Every batch that reaches the loss, with the model's own logits and the loss TRL computed."""
    import torch

    seen = []
    inner = trainer._compute_loss

    def compute(model, inputs):
        loss = inner(model, inputs)
        with torch.no_grad():
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
            mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
            logits = model(input_ids=ids, attention_mask=mask).logits
        size = inputs["completion_ids"].shape[1]
        seen.append(
            {
                **{
                    key: value.numpy().copy()
                    for key, value in inputs.items()
                    if hasattr(value, "numpy")
                },
                "logits": logits[:, -size - 1 : -1].double().numpy(),
                "loss": float(loss.detach()),
            }
        )
        return loss

    trainer._compute_loss = compute
    return seen


def log_probabilities(batch):
    logits = batch["logits"]
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return np.take_along_axis(logs, batch["completion_ids"][..., None], -1)[..., 0]


def loss_by_hand(batch, clip, beta):
    """The paper's objective: clipped ratio times advantage, less β times the k3 KL."""
    own, mask = log_probabilities(batch), batch["completion_mask"]
    old = batch.get("old_per_token_logps", own)
    ratio = np.exp(own - old)
    advantage = batch["advantages"][:, None]
    gain = np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)
    gap = batch["ref_per_token_logps"] - own
    per_token = -(gain - beta * (np.exp(gap) - gap - 1))
    return ((per_token * mask).sum(1) / np.maximum(mask.sum(1), 1)).mean()


@pytest.mark.slow
def test_advantage_kl_clip_and_schedule_agree_with_numpy(bench):
    trainer = bench("grpo.iterations=2", "grpo.learning_rate=0.02", "grpo.beta=0.1")
    seen = recorded(trainer)
    trainer.train()
    training = [batch for batch in seen if len(batch["advantages"]) == 8]
    assert len(training) == 4
    for batch in training:
        assert batch["loss"] == pytest.approx(loss_by_hand(batch, 0.2, 0.1), rel=1e-3, abs=2e-5)
    ratios = np.exp(log_probabilities(training[1]) - training[1]["old_per_token_logps"])
    assert (np.abs(ratios[training[1]["completion_mask"] == 1] - 1) > 0.2).any()  # the clip acts
    rows = rewards(trainer)
    for batch, step in zip(training[::2], (0, 2), strict=True):
        group = np.array([row["reward"] for row in rows if row["step"] == step], float)
        groups = group.reshape(2, 4)
        by_hand = np.nan_to_num(groups - np.nanmean(groups, axis=1, keepdims=True))
        assert np.sort(batch["advantages"]) == pytest.approx(np.sort(by_hand.ravel()), abs=1e-5)
    for row in rows:
        assert row["w_sa"] == pytest.approx(np.exp(-3.0 * row["step"] / 4))
        if row["status"] == "scored":
            r_sa, r_pc = (row["sa"] - 1) / 4, (row["pc"] - 1) / 4
            assert row["reward"] == pytest.approx(row["w_sa"] * r_sa + (1 - row["w_sa"]) * r_pc)


def test_a_sample_without_a_reward_has_no_advantage_and_no_part_in_the_baseline(bench, monkeypatch):
    calls = []

    def rated(self, requests):
        """Every second new clip of the first prompt fails, all clips of the second do."""
        found = []
        for request in requests:
            calls.append(request)
            failed = "second" in prompts[request.prompt] or len(calls) % 2
            rate = self.rate(request.clip.meta["text"])
            found.append(Failure("crash", "no answer") if failed else rate)
        return found

    trainer = bench("grpo.steps=1", "reward.failure_limit=1", "grpo.eval_every=100")
    captions = list(dict.fromkeys(trainer.train_dataset["caption"]))
    prompts = dict(zip(captions, ("first", "second"), strict=True))
    monkeypatch.setattr(Words, "score", rated)
    trainer.args.eval_strategy, trainer.args.eval_on_start = "no", False
    advantages = advantages_of(trainer)
    trainer.train()
    rows = rewards(trainer)
    values = np.array([row["reward"] for row in rows], float).reshape(2, 4)
    of_second = 1 if rows[0]["prompt"] == captions[0] else 0
    assert any(row["status"] == "failed" for row in rows)
    expected = np.zeros((2, 4))
    for at, group in enumerate(values):
        known = np.isfinite(group)
        if known.any():
            expected[at][known] = group[known] - group[known].mean()
    assert advantages[0] == pytest.approx(expected.ravel(), abs=1e-5)
    failed = np.array([row["status"] == "failed" for row in rows]).reshape(2, 4)
    assert not np.isfinite(values[failed]).any()
    assert all(row["status"] != "scored" for row in rows[4 * of_second : 4 * of_second + 4])


@pytest.mark.slow
def test_time_stands_still_while_a_rollout_is_used_twice(bench):
    trainer = bench("grpo.iterations=2")
    trainer.train()
    assert sorted({row["step"] for row in rewards(trainer)}) == [0, 2]


@pytest.mark.slow
def test_without_repeated_use_the_ratio_is_one_and_the_clip_idle(bench):
    trainer = bench("grpo.steps=2")
    trainer.train()
    rows = [
        row for row in read_jsonl(trainer.work / "log.jsonl") if "clip_ratio/region_mean" in row
    ]
    assert rows
    assert all(row["clip_ratio/region_mean"] == 0 for row in rows)


def test_normalised_advantages_divide_by_the_groups_spread(bench):
    trainer = bench("grpo.advantage=normalised", "grpo.steps=1")
    seen = recorded(trainer)
    trainer.train()
    groups = np.array([row["reward"] for row in rewards(trainer)], float).reshape(2, 4)
    spread = np.nanstd(groups, axis=1, ddof=1, keepdims=True)
    by_hand = (groups - np.nanmean(groups, axis=1, keepdims=True)) / (spread + 1e-4)
    training = next(batch for batch in seen if len(batch["advantages"]) == 8)
    by_hand = np.nan_to_num(by_hand)
    assert np.sort(training["advantages"]) == pytest.approx(np.sort(by_hand.ravel()), abs=1e-3)


def part(name, config, ends):
    """A reward that gives one of the raw parts, as the second route to a curriculum has them."""

    def cut(ids):
        return len(ids) >= config.max_completion_length and ids[-1] not in ends

    of_cut = None if config.mask_truncated_completions else 0.0

    def reward(completions, completion_ids, caption, **_):
        return [
            of_cut if cut(ids) else raw(name, reply[0]["content"], text)
            for reply, ids, text in zip(completions, completion_ids, caption, strict=True)
        ]

    reward.__name__ = name
    return reward


def raw(name, reply, prompt):
    try:
        rewrite = read_reasoning(reply)
        check_rewrite(rewrite, prompt=prompt, instructions="", language="english")
    except ReplyError:
        return 0.0
    return (getattr(Words.rate(rewrite.prompt), name) - 1) / 4


@pytest.mark.slow
def test_a_curriculum_by_callback_and_two_rewards_gives_the_same_advantages(bench, tiny, tmp_path):
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOTrainer

    changes = ("grpo.max_new_tokens=120", "grpo.learning_rate=0.0005", "grpo.steps=3")
    ours = bench(*changes)
    ours.args.eval_strategy, ours.args.eval_on_start = "no", False
    expected = advantages_of(ours)
    ours.train()
    assert any(row["status"] == "scored" for row in rewards(ours))

    class Weights(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            w_sa = weight_at("exponential", 3.0, state.global_step, state.max_steps)
            other.reward_weights = other.reward_weights.new_tensor([w_sa, 1 - w_sa])

    recipe = tiny(tmp_path / "b", *changes)
    config = grpo_config(recipe, tmp_path / "b")
    config.reward_weights, config.eval_strategy, config.eval_on_start = [1.0, 0.0], "no", False
    tokenizer = AutoTokenizer.from_pretrained(recipe.start)
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    other = GRPOTrainer(
        model=str(recipe.start),
        reward_funcs=[part("sa", config, ends), part("pc", config, ends)],
        args=config,
        train_dataset=rollout_dataset(recipe),
        processing_class=tokenizer,
        callbacks=[Weights()],
    )
    found = advantages_of(other)
    other.train()
    assert [np.abs(step).max() > 0 for step in expected] == [True] * 3
    assert np.array(found) == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.slow
def test_the_reference_is_stage_ones_model_and_the_first_kl_is_zero(bench):
    import torch
    from safetensors.torch import load_file

    trainer = bench("grpo.steps=2")
    sft = load_file(tiny_start(trainer) / "model.safetensors")
    reference = trainer.ref_model.state_dict()
    assert all(torch.equal(reference[name], weights) for name, weights in sft.items())
    trainer.train()
    rows = [row for row in read_jsonl(trainer.work / "log.jsonl") if "kl" in row]
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert rows[-1]["kl"] > 1e-6


def tiny_start(trainer):
    from pathlib import Path

    return Path(trainer.model.config._name_or_path)


@pytest.mark.slow
def test_an_adapter_leaves_stage_one_as_the_reference_also_after_a_resume(bench):
    import torch
    from safetensors.torch import load_file

    changes = ("grpo.lora={rank: 4, alpha: 8}", "grpo.eval_every=100")
    trainer = bench(*changes)
    assert trainer.ref_model is None
    assert list(trainer.model.peft_config) == ["default"]
    trainer.train()
    rows = [row for row in read_jsonl(trainer.work / "log.jsonl") if "kl" in row]
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    last = rows[-1]["kl"]
    for path in trainer.work.glob("checkpoint-4/*"):
        path.unlink()
    again = bench(*changes)
    again.train(resume_from_checkpoint=str(again.work / "checkpoint-2"))
    sft = load_file(tiny_start(again) / "model.safetensors")
    inner = again.model.get_base_model().state_dict()
    named = {name.replace(".base_layer", ""): weights for name, weights in inner.items()}
    assert all(torch.equal(named[name], weights) for name, weights in sft.items())
    rows = [row for row in read_jsonl(again.work / "log.jsonl") if "kl" in row]
    assert rows[-1]["kl"] == pytest.approx(last, rel=1e-3)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]


def test_evaluation_before_training_does_not_divide_by_zero(bench):
    trainer = bench()
    found = trainer.evaluate()
    assert found["eval_curriculum/w_sa"] == 0.5


@pytest.mark.slow
def test_the_raw_parts_reach_the_trainers_own_history(bench):
    trainer = bench("grpo.steps=2")
    trainer.train()
    steps = [row for row in trainer.state.log_history if "judge/r_pc" in row]
    assert [row["step"] for row in steps] == [1, 2]


@pytest.mark.slow
def test_the_log_says_where_a_steps_time_went(bench):
    trainer = bench("grpo.steps=4", "grpo.iterations=2")
    trainer.train()
    logged = list(read_jsonl(trainer.work / LOG))
    steps = [row for row in logged if "step_time" in row]
    drawn = [row for row in steps if "seconds/rollout" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    assert [row["step"] for row in drawn] == [1, 3]  # the others use a rollout again
    for row in drawn:
        assert row["seconds/rollout"] > 0
        assert row["seconds/reward"] > 0
        assert row["seconds/rollout"] + row["seconds/reward"] < row["step_time"]
        assert row["memory/peak_host_gib"] > 0.1  # torch alone takes more
    evaluated = [row for row in logged if "eval_seconds/reward" in row]
    assert evaluated
    assert not any("eval_seconds/rollout" in row for row in evaluated)


@pytest.mark.slow
def test_a_resumed_training_sees_the_prompts_and_rewards_of_an_uninterrupted_one(bench):
    from transformers import TrainerCallback

    whole = bench("grpo.limit=3", output="whole")
    whole.train()
    half = bench("grpo.limit=3", output="half")

    class Break(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == 3:
                raise KeyboardInterrupt

    half.add_callback(Break())
    with pytest.raises(KeyboardInterrupt):
        half.train()
    again = bench("grpo.limit=3", output="half")
    again.train(resume_from_checkpoint=str(again.work / "checkpoint-2"))

    def sequence(trainer):
        return [
            (row["step"], row["prompt_id"], row["text"], row["reward"]) for row in rewards(trainer)
        ]

    assert sequence(again) == sequence(whole)
    assert [(r["step"], r["text"]) for r in rewards(again, "eval")] == [
        (r["step"], r["text"]) for r in rewards(whole, "eval")
    ]


def test_the_options_that_trls_defaults_would_get_wrong(tiny, tmp_path):
    recipe = tiny(tmp_path, "grpo.ddp_timeout_s=7200", "reward.truncated=null")
    config = grpo_config(recipe, tmp_path)
    wanted = {
        "num_generations": 4,
        "epsilon": 0.2,
        "beta": 0.02,
        "loss_type": "grpo",
        "scale_rewards": "none",
        "multi_objective_aggregation": "sum_then_normalize",
        "use_bias_correction_kl": False,
        "mask_truncated_completions": True,
        "disable_dropout": True,
        "importance_sampling_level": "token",
        "shuffle_dataset": False,
        "ddp_timeout": 7200,
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "max_steps": 4,
    }
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_all_rollouts_are_laid_out_in_one_pass(tiny, tmp_path):
    recipe = tiny(tmp_path, "grpo.steps=7", "grpo.iterations=2", "grpo.save_every=2")
    rows = rollout_dataset(recipe)
    assert len(rows) == 4 * 2
    assert sorted(rows["prompt_id"][:4]) == sorted(rows["prompt_id"][4:])
    assert rows["prompt_id"] == rollout_dataset(recipe)["prompt_id"]
