"""A language model on this machine as refiner, with or without a LoRA adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from phybench.machine.devices import Device, Dtype
from phybench.plugins.contracts import Failure, Refinement
from phybench.prompts.length_budget import Shortening

from .language_model.engine import Completion, Quantisation, Sampling
from .language_model.local_model import EngineName, LazyEngine, local_model
from .rewriting.replies import (
    PARSER_VERSION,
    READERS,
    ReplyError,
    Rewrite,
    check_rewrite,
)
from .rewriting.task import DEFAULT_BUDGET, Language, RewritingTask, rewriting_task


class Local:
    """Rewrites prompts with a causal language model that has a chat template.

    The weights load on the first call. Nothing is fetched from a network: a hub id must have been
    downloaded before.

    Args:
        model: Folder, or hub id such as ``Qwen/Qwen2.5-7B-Instruct``.
        revision: Branch, tag or commit of the hub id.
        adapter: Folder or hub id of a LoRA adapter.
        adapter_revision: Branch, tag or commit of the adapter's hub id.
        engine: ``transformers``, or ``vllm`` in this process.
        device: ``auto`` takes a GPU if there is one.
        dtype: ``auto`` is bfloat16 on a GPU, float32 on a CPU.
        quantisation: ``8bit`` or ``4bit`` with bitsandbytes (GPU).
        temperature: 0 for the likeliest reply, whatever the seed.
        top_p: Share of probability that tokens are drawn from.
        max_new_tokens: Longest reply, reasoning included; a longer one is a failure.
        batch: Prompts at a time.
        reply: How the model replies: ``json`` (reasoning and prompt), ``text`` (nothing but the
            prompt) or ``reasoning`` (PhyPrompt's six lines).
        instructions: Name of a bundled system prompt, or a text file.
        budget: Tokens that the generator reads; the instructions ask for a length that fits.
        language: ``english``, or ``any`` for the language of the prompt.

    Raises:
        ConfigError: If the checkpoint is absent or has no chat template, or options do not fit.
        MissingExtraError: If the engine's libraries are not installed.
    """

    def __init__(
        self,
        *,
        model: str,
        revision: str = "",
        adapter: str = "",
        adapter_revision: str = "",
        engine: EngineName = "transformers",
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantisation: Quantisation = "none",
        temperature: Annotated[float, Field(ge=0, le=2)] = 0.7,
        top_p: Annotated[float, Field(gt=0, le=1)] = 1.0,
        max_new_tokens: Annotated[int, Field(ge=1)] = 768,
        batch: Annotated[int, Field(ge=1)] = 8,
        reply: Literal["json", "text", "reasoning"] = "json",
        instructions: str = "physics-v1",
        budget: Annotated[int, Field(ge=16)] = DEFAULT_BUDGET,
        language: Language = "english",
    ) -> None:
        setup = local_model(
            model,
            revision=revision,
            adapter=adapter,
            adapter_revision=adapter_revision,
            engine=engine,
            device=device,
            dtype=dtype,
            quantisation=quantisation,
            batch=batch,
            sampling=Sampling(temperature, top_p, max_new_tokens),
        )
        self._task = rewriting_task(instructions, budget=budget, language=language)
        self._read = READERS[reply]
        self._engine = LazyEngine(setup)
        self.info = setup.describe(
            setup.adapter.name if setup.adapter else setup.model.name,
            "that of the model",
            {
                "instructions": self._task.digest,
                "reply": reply,
                "language": language,
                "parser": PARSER_VERSION,
            },
        )

    @property
    def system_prompt(self) -> str:
        """What the model is told."""
        return self._task.system_prompt

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt with its seed; one result per prompt, in order.

        Failure kinds: ``length`` (the reply was cut), ``context``, ``memory``, and those of
        :class:`~phybench.refiners.rewriting.replies.ReplyError`.
        """
        return self._completed([(self._task, text, {}) for text in prompts], seeds)

    def shorten(
        self, asked: Sequence[Shortening], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Write texts again that were too long for a generator; failures as of :meth:`refine`."""
        tasks = [(self._task.shorter(one), one.prompt, {"too_long": one.text}) for one in asked]
        return self._completed(tasks, seeds)

    def _completed(
        self, tasks: Sequence[tuple[RewritingTask, str, Mapping[str, str]]], seeds: Sequence[int]
    ) -> list[Refinement | Failure]:
        conversations = [task.messages(prompt, **material) for task, prompt, material in tasks]
        replies = self._engine.complete(conversations, seeds)
        return [
            refinement(reply, partial(self._rewrite, task=task, prompt=prompt))
            for reply, (task, prompt, _) in zip(replies, tasks, strict=True)
        ]

    def _rewrite(self, reply: str, task: RewritingTask, prompt: str) -> Rewrite:
        rewrite = self._read(reply)
        check_rewrite(
            rewrite, prompt=prompt, instructions=task.system_prompt, language=task.language
        )
        return rewrite


def refinement(reply: Completion | Failure, read: Callable[[str], Rewrite]) -> Refinement | Failure:
    """Turn a local model's completion into a result of :meth:`Local.refine`."""
    if isinstance(reply, Failure):
        return reply
    if not reply.finished:
        return Failure(
            "length",
            f"The reply was cut after {reply.tokens} tokens. Raise `max_new_tokens`.",
            reply=reply.text,
        )
    try:
        rewrite = read(reply.text)
    except ReplyError as error:
        return Failure(error.kind, str(error), reply=reply.text)
    return Refinement(text=rewrite.prompt, reasoning=rewrite.reasoning, tokens=reply.tokens)
