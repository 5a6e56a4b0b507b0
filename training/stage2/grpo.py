"""Stage 2: GRPO with a curriculum reward, by TRL's ``GRPOTrainer``.

The options reproduce PhyPrompt's objective as far as it is published: groups of four, clip 0.2, KL
to stage 1's model with the k3 estimator, advantage ``r − mean(r)``. Where TRL's defaults differ
they are set here, each with its reason; ``docs/training.md`` lists them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, PhybenchError
from phybench.machine.folders import default_folder
from phybench.plugins.contracts import Prompt, VideoSettings
from phybench.plugins.opened import Opened
from phybench.plugins.spec import parse_spec
from phybench.prompts.prompt_sets import load_prompts
from phybench.refiners.phyprompt import read_card, training_messages
from phybench.workers.choice import make_executor
from phybench.workers.opening import open_plugin

from ..recipe.licences import check_licences
from ..recipe.parts import Grpo
from ..recipe.recipe import Recipe
from ..setup import (
    accumulation,
    begin_of,
    check_installed,
    claim,
    dtype_of,
    last_checkpoint,
    lora_config,
    precision,
    process,
    save_checkpoint,
)
from .clip_scores import ClipScores
from .reward import PhysicsReward, RewardRules
from .reward_log import RewardLog
from .rollouts import check_vllm, seed_rollouts, vllm_options
from .step_costs import StepClock
from .timing import timing_key

Tell = Callable[[str], None]


class HackingError(PhybenchError):
    """The training log shows the signature of reward hacking."""


def train_grpo(recipe: Recipe, tell: Tell) -> Path:
    """Do stage 2, or the rest of it.

    Args:
        recipe: What to do.
        tell: Receives notes for the user.

    Returns:
        Folder of the finished checkpoint.

    Raises:
        ConfigError: If stage 1 is missing, a plugin cannot be used or a licence forbids it.
        RewardError: If too many samples of a rollout failed.
        HackingError: If the log shows the signature of reward hacking.
        MissingExtraError: If the extra ``train`` is not installed.
    """
    check_installed()
    check_vllm(recipe.grpo.vllm)
    check_start(recipe)
    parts = open_reward(recipe, tell)
    work = claim(recipe.final, "grpo", recipe)
    make = partial(make_executor, recipe.reward.executor, workers=recipe.reward.workers)
    scores = ClipScores(parts[0], parts[1:], default_folder(), make)
    try:
        trainer = build_trainer(recipe, work, scores, parts, tell)
        trainer.train(resume_from_checkpoint=last_checkpoint(work))
        trainer.save_state()
        _refuse_hacked(trainer, work)
        if trainer.accelerator.is_main_process:
            save_checkpoint(trainer, trainer.processing_class, recipe.final, recipe, "grpo")
        trainer.accelerator.wait_for_everyone()
    finally:
        scores.close()
    return recipe.final


def _refuse_hacked(trainer: Any, work: Path) -> None:
    from .callbacks import LOG, HackingStop

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, HackingStop) and callback.reason:
            raise HackingError(
                f"Stopped at step {trainer.state.global_step}: {callback.reason} The states lie in "
                f"{str(work)!r}, the samples in its rewards-rank0.jsonl, the log in its {LOG}. "
                "No finished checkpoint was written. To go on: --set grpo.stop_on_hacking=false"
            )


def check_start(recipe: Recipe) -> None:
    """Refuse to start from anything but stage 1's checkpoint of the same instructions.

    Raises:
        ConfigError: If it is not there or was told something else.
    """
    if recipe.grpo.begin == "base":
        _check_base(recipe)
        return
    if not recipe.start.is_dir():
        raise ConfigError(
            f"Expected stage 1's checkpoint in {str(recipe.start)!r}, but there is none. Run "
            "`phybench train sft` with the same recipe first."
        )
    card = read_card(recipe.start)
    if card.stage != "sft" or card.system_prompt != recipe.instructions:
        raise ConfigError(
            f"Expected {str(recipe.start)!r} to be stage 1 with the recipe's system prompt, but it "
            f"is `{card.stage}` with {card.system_prompt[:60]!r}."
        )


def _check_base(recipe: Recipe) -> None:
    folder = begin_of(recipe)
    if not folder.is_dir():
        raise ConfigError(
            f"Expected the model before stage 1 in {str(folder)!r}, but there is none. A model of "
            "`model.scratch` is made by `phybench train sft` with the same recipe: run it first."
        )


def open_reward(recipe: Recipe, tell: Tell) -> tuple[Opened, ...]:
    """Open generator, judge and hold-out judge, and check their licences.

    Raises:
        ConfigError: If one cannot be opened, a licence forbids training on it, or the hold-out is
            the judge that is trained on.
    """
    reward = recipe.reward
    wanted = [("generator", reward.generator), ("judge", reward.judge)]
    wanted += [("judge", reward.holdout)] if reward.holdout else []
    parts = tuple(open_plugin(kind, parse_spec(spec)) for kind, spec in wanted)  # type: ignore[arg-type]
    if reward.holdout and parts[1].info.fingerprint == parts[2].info.fingerprint:
        raise ConfigError(
            "Expected `reward.holdout` to be another judge than `reward.judge`: a judge that is "
            "trained on cannot notice that it is being played."
        )
    for note in check_licences(parts[:2], override=reward.override_licence):
        tell(note)
    return parts


def build_trainer(
    recipe: Recipe, work: Path, scores: ClipScores, parts: Sequence[Opened], tell: Tell
) -> Any:
    """TRL's trainer, ready to train or to resume.

    The model goes in as a *path*: of a model in memory, TRL would take the weights before
    stage 1 as the reference of the KL divergence.
    """
    from transformers import AutoTokenizer
    from trl import GRPOTrainer  # type: ignore[attr-defined]

    from .callbacks import (
        LOG,
        FlatGroupsAlarm,
        HackingStop,
        JsonlLog,
        Progress,
        StepStart,
        StepTimer,
        quiet,
    )

    begin = begin_of(recipe)
    tokenizer = AutoTokenizer.from_pretrained(begin, local_files_only=True)
    rank = process().process_index
    log = RewardLog(work / f"rewards-rank{rank}.jsonl")
    checkpoint = last_checkpoint(work)
    log.resume(int(checkpoint.rpartition("-")[2]) if checkpoint else 0)
    clock = StepClock()
    rules = reward_rules(recipe, parts)
    reward = PhysicsReward(rules, scores, log, _ends(begin), rank=rank, clock=clock)
    callbacks: list[Any] = [
        JsonlLog(work / LOG),
        FlatGroupsAlarm(tell),
        Progress(tell),
        StepTimer(timing_key(recipe, "grpo")),
        StepStart(clock),
    ]
    if recipe.grpo.stop_on_hacking:
        callbacks.append(HackingStop(work / LOG))
    trainer = GRPOTrainer(
        model=str(begin),
        reward_funcs=reward,  # type: ignore[arg-type]
        args=grpo_config(recipe, work, resuming=checkpoint is not None),
        train_dataset=rollout_dataset(recipe),
        eval_dataset=_dataset(
            load_prompts(recipe.grpo.eval_prompts, recipe.grpo.eval_limit).prompts, recipe, "eval"
        ),
        processing_class=tokenizer,
        peft_config=lora_config(recipe.grpo.lora),
        callbacks=callbacks,
    )
    seed_rollouts(recipe)
    quiet(trainer)
    return trainer


def reward_rules(recipe: Recipe, parts: Sequence[Opened]) -> RewardRules:
    """The reward's rules as the recipe and the judges' scales say."""
    reward = recipe.reward
    return RewardRules(
        schedule=reward.schedule,
        alpha=reward.alpha,
        unreadable=reward.unreadable,
        truncated=reward.truncated,
        shared_seed=reward.clip_seed == "shared",
        seed=recipe.seed,
        settings=VideoSettings(**reward.video.model_dump()),
        instructions=recipe.instructions,
        max_new_tokens=recipe.grpo.max_new_tokens,
        timeout_s=reward.timeout_s,
        failure_limit=reward.failure_limit,
        scale=parts[1].info.scale,
        holdout_scale=parts[2].info.scale if len(parts) > 2 else None,
    )


def rollouts(grpo: Grpo) -> int:
    """Rollouts of a whole training: optimiser steps, less the repeated uses of a rollout."""
    return -(-grpo.steps // grpo.iterations)


def rollout_dataset(recipe: Recipe) -> Any:
    """The prompts of all rollouts in order, laid out for exactly one pass.

    TRL's sampler starts its shuffling afresh when a run is resumed, so that any epoch but the first
    would bring other prompts than an uninterrupted run. One long epoch in a fixed order has no such
    seam.
    """
    grpo = recipe.grpo
    prompts = load_prompts(grpo.prompts, grpo.limit).prompts
    draw = random.Random(recipe.seed)
    wanted = rollouts(grpo) * grpo.prompts_per_step
    order: list[Prompt] = []
    while len(order) < wanted:
        order += draw.sample(prompts, len(prompts))
    return _dataset(order[:wanted], recipe, "train")


def _dataset(prompts: Sequence[Prompt], recipe: Recipe, split: str) -> Any:
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": training_messages(prompt.text, recipe.instructions),
                "caption": prompt.text,
                "prompt_id": prompt.id,
                "split": split,
            }
            for prompt in prompts
        ]
    )


def _ends(folder: Path) -> frozenset[int]:
    """Tokens that end a reply."""
    from transformers import AutoTokenizer, GenerationConfig

    listed = GenerationConfig.from_pretrained(folder).eos_token_id
    found = {listed} if isinstance(listed, int) else set(listed or ())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return frozenset(found | {tokenizer.eos_token_id})


def grpo_config(recipe: Recipe, work: Path, *, resuming: bool = False) -> Any:
    """TRL's options for the recipe."""
    from trl import GRPOConfig  # type: ignore[attr-defined]

    grpo = recipe.grpo
    replies = grpo.prompts_per_step * grpo.group
    return GRPOConfig(
        output_dir=str(work),
        seed=recipe.seed,
        max_steps=grpo.steps,
        per_device_train_batch_size=grpo.micro_batch,
        gradient_accumulation_steps=accumulation(
            replies, grpo.micro_batch, "`grpo.prompts_per_step` × `grpo.group`"
        ),
        num_generations=grpo.group,
        num_iterations=grpo.iterations,
        learning_rate=grpo.learning_rate,
        lr_scheduler_type=grpo.scheduler,
        warmup_steps=grpo.warmup,
        epsilon=grpo.clip,
        beta=grpo.beta,
        **_objective(recipe),
        **_sampling(recipe),
        **_bookkeeping(recipe, resuming=resuming),
        **precision(recipe),
    )


def _objective(recipe: Recipe) -> dict[str, Any]:
    grpo = recipe.grpo
    return {
        "loss_type": grpo.loss,
        "scale_rewards": "none" if grpo.advantage == "mean" else "group",
        # The other aggregation divides by the spread whatever `scale_rewards` says.
        "multi_objective_aggregation": "sum_then_normalize",
        "importance_sampling_level": "token",
        # TRL's default multiplies the KL by the ratio, which is not the k3 estimator.
        "use_bias_correction_kl": False,
        # A cut reply teaches nothing unless the recipe says what it is worth.
        "mask_truncated_completions": recipe.reward.truncated is None,
        # Dropout would make the KL of equal models differ from 0.
        "disable_dropout": True,
    }


def _sampling(recipe: Recipe) -> dict[str, Any]:
    grpo = recipe.grpo
    return {
        "max_completion_length": grpo.max_new_tokens,
        "temperature": grpo.temperature,
        "top_p": grpo.top_p,
        "top_k": 0,
        "model_init_kwargs": {"dtype": dtype_of(recipe), "local_files_only": True},
        **vllm_options(grpo.vllm),
    }


def _bookkeeping(recipe: Recipe, *, resuming: bool) -> dict[str, Any]:
    grpo = recipe.grpo
    return {
        # The data lies in order already; see rollout_dataset.
        "shuffle_dataset": False,
        "eval_strategy": "steps",
        "eval_steps": grpo.eval_every,
        # Evaluations compare prompts, not the replies to one prompt.
        "num_generations_eval": 1,
        "per_device_eval_batch_size": grpo.micro_batch,
        "eval_on_start": not resuming,
        "save_steps": grpo.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        # Rewards take minutes; the default would end a rollout of 16 slow clips in a NCCL timeout.
        "ddp_timeout": grpo.ddp_timeout_s,
        "disable_tqdm": True,
        "report_to": list(recipe.report_to),
    }
