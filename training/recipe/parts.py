"""The parts of a recipe, each validated on its own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScheduleName = Literal["exponential", "linear", "cosine", "step", "static", "sa-only", "pc-only"]


class RecipePart(BaseModel):
    """A section that admits no unknown key and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Scratch(RecipePart):
    """A small language model that is made from nothing, tokenizer included.

    Args:
        vocabulary: Tokens of the byte-level BPE that is learnt from the training texts.
        hidden: Width.
        layers: Depth.
        heads: Attention heads.
        context: Longest conversation in tokens, reply included.
    """

    vocabulary: int = Field(ge=300)
    hidden: int = Field(ge=16)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    context: int = Field(ge=64)


class Model(RecipePart):
    """Where training begins.

    Args:
        path: Folder or hub id of an instruction-tuned language model; empty with ``scratch``.
        revision: Commit of the hub id.
        dtype: Precision of the weights on a GPU; a CPU always takes float32. AdamW's small steps
            are lost in bfloat16 weights, so all-weights training wants float32 (it computes in
            bfloat16 all the same) and an adapter, which stays in float32, can do with bfloat16.
        scratch: Make a new model instead.
    """

    path: str = ""
    revision: str = ""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    scratch: Scratch | None = None

    @model_validator(mode="after")
    def _one_start(self) -> Model:
        if bool(self.path) == (self.scratch is not None):
            raise ValueError("expected either `path` or `scratch`")
        return self


class Data(RecipePart):
    """The chain-of-thought data of stage 1.

    Args:
        source: ``tabletop`` (made from the simulated world), ``jsonl`` (finished triples),
            ``phygenbench`` (``explicit_prompts.json`` of PhyGenBench, with reasoning by a teacher)
            or ``teacher`` (reasoning and prompts by a teacher).
        path: The file of ``jsonl`` or ``phygenbench``.
        teacher: SPEC of the refiner that writes the reasoning.
        prompts: Prompt set of ``tabletop`` and ``teacher``.
        limit: Only the first rows.
        variants: Triples per prompt of ``tabletop``.
        max_words: Longest target prompt.
        decontaminate: Prompt sets that no training prompt may repeat.
        ngram: Words in a row that count as repeated.
        similarity: Cosine of sentence embeddings from which a text repeats another in other words;
            ``None`` does not look. 0.9 by default, ``None`` for ``tabletop``, whose prompt sets
            hold distinct scenes in the same few words. Needs the extra ``similarity``; without it,
            or without the model, the data's card says that it was not run.
        similarity_model: Folder or hub id of the embedding model, which must then be there; empty
            for :data:`phybench.prompts.embeddings.DEFAULT_MODEL`.
    """

    source: Literal["tabletop", "jsonl", "phygenbench", "teacher"]
    path: str = ""
    teacher: str = ""
    prompts: str = "tabletop-train"
    limit: int | None = Field(default=None, ge=1)
    variants: int = Field(default=1, ge=1)
    max_words: int = Field(default=150, ge=8)
    decontaminate: tuple[str, ...] = ("tabletop-test",)
    ngram: int = Field(default=8, ge=3)
    similarity: float | None = Field(
        default_factory=lambda data: None if data.get("source") == "tabletop" else 0.9, gt=0, le=1
    )
    similarity_model: str = ""


class Lora(RecipePart):
    """A low-rank adapter, trained instead of all weights and merged at the end.

    Args:
        rank: Rank of the update.
        alpha: Scale of the update.
        dropout: Dropout on the adapter's input.
        modules: Layers that get one.
    """

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    modules: str | tuple[str, ...] = "all-linear"


def _check_warmup(warmup: float, scheduler: str) -> None:
    """Refuse a warmup that transformers would ignore."""
    if warmup and scheduler == "constant":
        raise ValueError(
            f"expected `scheduler: constant_with_warmup` or `warmup: 0`: the schedule `constant` "
            f"ignores a warmup of {warmup:g}"
        )


class Sft(RecipePart):
    """Stage 1.

    Args:
        epochs: Passes over the data.
        batch: Samples per optimiser step, all devices together.
        micro_batch: Samples per device and forward pass.
        learning_rate: Peak learning rate.
        scheduler: Learning-rate schedule by its name in transformers.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: AdamW's.
        max_length: Longest sample in tokens; a longer one stops the run before it starts.
        lora: Train an adapter; ``None`` trains all weights.
        save_every: Steps between checkpoints.
        copying: Rows of a phase before, in which a new model learns to repeat what stands before
            (:mod:`phybench.training.data.copying`); 0 for a model that can.
        copying_rate: Learning rate of that phase.
    """

    epochs: float = Field(gt=0)
    batch: int = Field(ge=1)
    micro_batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    scheduler: str = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(ge=32)
    lora: Lora | None = None
    save_every: int = Field(ge=1)
    copying: int = Field(default=0, ge=0)
    copying_rate: float = Field(default=0.002, gt=0)

    @model_validator(mode="after")
    def _warmup_acts(self) -> Sft:
        _check_warmup(self.warmup, self.scheduler)
        return self


class VideoPart(RecipePart):
    """Wishes for every clip; ``None`` is the generator's native value."""

    frames: int | None = Field(default=None, ge=1)
    fps: float | None = Field(default=None, gt=0)
    width: int | None = Field(default=None, ge=2)
    height: int | None = Field(default=None, ge=2)


class Reward(RecipePart):
    """What a rewritten prompt is worth.

    Args:
        generator: SPEC of the generator.
        judge: SPEC of the judge that is trained on.
        holdout: SPEC of a judge that is only looked at; empty for none.
        schedule: How the weight of semantic adherence falls.
        alpha: The schedule's rate.
        unreadable: Reward of a reply that is not in the format; the scale is 0..1.
        truncated: Reward of a reply that was cut at ``grpo.max_new_tokens``; ``None`` gives none
            and masks its loss. A number is for models that may never stop.
        clip_seed: ``shared``: all replies to a prompt get the same noise; ``own``: each its own.
        video: Wishes for every clip.
        executor: Who calls generator and judges.
        workers: Worker processes per plugin (executor ``local``).
        timeout_s: Longest wait for one sample from request to score.
        failure_limit: Share of a rollout's samples that may fail before training stops.
        override_licence: Train although a licence forbids it: your responsibility.
    """

    generator: str
    judge: str
    holdout: str = ""
    schedule: ScheduleName = "exponential"
    alpha: float = Field(gt=0)
    unreadable: float = Field(default=0.0, ge=0, le=1)
    truncated: float | None = Field(default=None, ge=0, le=1)
    clip_seed: Literal["shared", "own"] = "shared"
    video: VideoPart = VideoPart()
    executor: str = "local"
    workers: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(gt=0)
    failure_limit: float = Field(default=0.2, ge=0, le=1)
    override_licence: bool = False


_MEMORY = 0.3
"""TRL's default share of a GPU for a colocated vLLM."""


class Vllm(RecipePart):
    """Rollouts with vLLM.

    Args:
        mode: ``colocate`` in the trainer's process, ``server`` on GPUs of its own.
        memory: Share of a GPU that ``colocate`` may take.
        base_url: Address of the server.
        correction: Weight each reply's loss by how likely the trained model and vLLM's copy of it
            are to give it (TRL's default); not in the paper, which names no sampler.
    """

    mode: Literal["colocate", "server"]
    memory: float = Field(default=_MEMORY, gt=0, le=1)
    base_url: str = Field(default="", pattern="^(https?://.+)?$")
    correction: bool = True

    @model_validator(mode="after")
    def _address(self) -> Vllm:
        if (self.mode == "server") != bool(self.base_url):
            raise ValueError(
                f"expected `base_url` with `mode: server` and only there, but got mode "
                f"{self.mode!r} and base_url {self.base_url!r}"
            )
        return self

    @model_validator(mode="after")
    def _share_of_our_gpu(self) -> Vllm:
        if self.mode == "server" and self.memory != _MEMORY:
            raise ValueError(
                f"expected `memory` only with `mode: colocate`, but got {self.memory} for a "
                "server: give it to that server as --gpu-memory-utilization"
            )
        return self


class Grpo(RecipePart):
    """Stage 2.

    Args:
        prompts: Prompt set that replies are sampled for.
        limit: Only its first prompts.
        eval_prompts: Prompt set of the evaluations.
        eval_limit: Only its first prompts.
        steps: Optimiser steps T.
        prompts_per_step: Prompts per rollout.
        group: Replies per prompt, G.
        micro_batch: Replies per device and forward pass.
        iterations: Optimiser steps per rollout, μ; clipping acts only above 1.
        learning_rate: Peak learning rate.
        scheduler: Learning-rate schedule by its name in transformers.
        warmup: Share of the steps in which the learning rate rises.
        clip: ε of the clipped ratio.
        beta: Weight of the KL divergence to the model that stage 2 starts from.
        advantage: ``mean`` is r − mean(r) of the group; ``normalised`` also divides by its spread.
        loss: TRL's loss type; ``grpo`` averages over each reply's tokens, then over replies.
        temperature: Of sampling.
        top_p: Of sampling.
        max_new_tokens: Longest reply.
        lora: Train an adapter; ``None`` trains all weights.
        vllm: Sample with vLLM; ``None`` samples with transformers.
        save_every: Steps between checkpoints, a multiple of ``iterations``.
        eval_every: Steps between evaluations.
        stop_on_hacking: Stop when the log shows the signature of reward hacking.
        begin: ``sft`` begins from stage 1's checkpoint; ``base`` from the model before it, which is
            the ablation's "GRPO without SFT".
        ddp_timeout_s: How long ranks wait for each other; rewards are slow.
    """

    prompts: str
    limit: int | None = Field(default=None, ge=1)
    eval_prompts: str
    eval_limit: int = Field(ge=1)
    steps: int = Field(ge=1)
    prompts_per_step: int = Field(ge=1)
    group: int = Field(ge=2)
    micro_batch: int = Field(ge=1)
    iterations: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    scheduler: str = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    clip: float = Field(gt=0)
    beta: float = Field(ge=0)
    advantage: Literal["mean", "normalised"] = "mean"
    loss: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = "grpo"
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(ge=8)
    lora: Lora | None = None
    vllm: Vllm | None = None
    save_every: int = Field(ge=1)
    eval_every: int = Field(ge=1)
    stop_on_hacking: bool = True
    begin: Literal["sft", "base"] = "sft"
    ddp_timeout_s: int = Field(ge=1800)

    @model_validator(mode="after")
    def _generation_boundaries(self) -> Grpo:
        if self.save_every % self.iterations:
            raise ValueError(
                f"expected `save_every` to be a multiple of `iterations` = {self.iterations}: a "
                "checkpoint between two rollouts cannot be resumed with the same samples"
            )
        return self

    @model_validator(mode="after")
    def _warmup_acts(self) -> Grpo:
        _check_warmup(self.warmup, self.scheduler)
        return self


class Evaluation(RecipePart):
    """How ``train ablate`` lets the checkpoints rewrite the test prompts.

    Args:
        temperature: Of sampling; 0 for the likeliest reply.
        batch: Prompts at a time.
    """

    temperature: float = Field(default=0.7, ge=0, le=2)
    batch: int = Field(default=8, ge=1)
