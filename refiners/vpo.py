"""VPO: a LLaMA3-8B aligned to write prompts for CogVideoX (thu-coai/VPO).

Weights: hub ``CCCCCC/VPO-5B`` (aligned for CogVideoX-5B; a sibling for 2B exists). The model takes
one user message: the task, three principles (harmless, aligned, helpful for quality) and the query.
Its exact wording is on the model card and is not ours to copy: give it with ``template=FILE``. The
bundled default asks for the same in our words; the fingerprint records which was used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import Field

from phybench.errors import ConfigError
from phybench.machine.devices import Device, Dtype
from phybench.machine.digest import text_digest
from phybench.plugins.contracts import Failure, Refinement

from .language_model.engine import Quantisation, Sampling
from .language_model.local_model import EngineName, LazyEngine, local_model
from .local import refinement
from .rewriting.replies import PARSER_VERSION, Rewrite, check_rewrite, read_text
from .rewriting.task import read_wording

_SLOT = "{prompt}"
_SAMPLING = Sampling(temperature=0.7, top_p=1.0, max_new_tokens=1024)
"""The published decoding."""
_OURS = "vpo-v1"


class Vpo:
    """Rewrites prompts with VPO and its published decoding (temperature 0.7, ≤ 1 024 tokens).

    Args:
        model: Folder or downloaded hub id of the model.
        revision: Branch, tag or commit of the hub id.
        template: Text file with the user message of the model card, ``{prompt}`` where the query
            goes; empty for our own wording.
        engine: ``transformers``, or ``vllm`` in this process.
        device: ``auto`` takes a GPU if there is one.
        dtype: ``auto`` is bfloat16 on a GPU, float32 on a CPU.
        quantisation: ``8bit`` or ``4bit`` with bitsandbytes (GPU).
        batch: Prompts at a time.

    Raises:
        ConfigError: If the model is not on this machine, or the template has no ``{prompt}``.
        MissingExtraError: If the engine's libraries are not installed.
    """

    def __init__(
        self,
        *,
        model: str = "CCCCCC/VPO-5B",
        revision: str = "",
        template: str = "",
        engine: EngineName = "transformers",
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantisation: Quantisation = "none",
        batch: Annotated[int, Field(ge=1)] = 8,
    ) -> None:
        self._template = read_wording(template or _OURS)
        if self._template.count(_SLOT) != 1:
            raise ConfigError(
                f"Expected `template` {template!r} to hold `{_SLOT}` once, where the query goes."
            )
        setup = local_model(
            model,
            revision=revision,
            engine=engine,
            device=device,
            dtype=dtype,
            quantisation=quantisation,
            batch=batch,
            sampling=_SAMPLING,
        )
        self._engine = LazyEngine(setup)
        self.info = setup.describe(
            "vpo",
            "Meta Llama 3 Community License",
            {
                "template": text_digest(self._template),
                "template_is": "the user's" if template else _OURS,
                "parser": PARSER_VERSION,
            },
        )

    @property
    def system_prompt(self) -> str:
        """The user message; VPO has no system prompt."""
        return self._template

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt with its seed; failures as in :meth:`.local.Local.refine`."""
        asked = [
            [{"role": "user", "content": self._template.replace(_SLOT, prompt)}]
            for prompt in prompts
        ]
        replies = self._engine.complete(asked, seeds)
        return [
            refinement(reply, partial(self._rewrite, prompt=prompt))
            for reply, prompt in zip(replies, prompts, strict=True)
        ]

    def _rewrite(self, reply: str, prompt: str) -> Rewrite:
        rewrite = read_text(reply)
        instructions = self._template.replace(_SLOT, "")
        check_rewrite(rewrite, prompt=prompt, instructions=instructions, language="english")
        return rewrite
