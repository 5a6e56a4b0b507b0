"""Promptist: a GPT-2 that was trained to rewrite prompts for text-to-image models.

Weights: hub ``microsoft/Promptist`` (124 M parameters), with GPT-2's tokenizer. It adds style words
rather than physics, which makes it a baseline for "any rewriting": in PhyPrompt's table it scores
below the unrefined prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.errors import MissingExtraError
from phybench.machine.devices import Device, device_kind, resolve_device
from phybench.machine.model_folders import ModelFolder, find_model
from phybench.plugins.contracts import Failure, PluginInfo, Refinement

from .rewriting.replies import one_line

if TYPE_CHECKING:
    import torch

_SUFFIX = " Rephrase:"
_BEAMS = 8
_MAX_NEW_TOKENS = 75
_LENGTH_PENALTY = -1.0
"""Suffix and beam search of the model card. A text that fills the 75 tokens is part of the recipe
(they are CLIP's budget), so it is kept, with ``finish_reason`` ``length``."""


class Promptist:
    """Rewrites prompts with Promptist's published beam search.

    Prompts are run one by one: a beam search of a prompt is a batch of eight already, and padding
    would make it depend on its neighbours.

    Args:
        model: Folder or downloaded hub id of the model.
        revision: Branch, tag or commit of the hub id.
        tokenizer: Folder or hub id of the tokenizer, if the model's folder has none.
        device: ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: If model or tokenizer are not on this machine.
        MissingExtraError: If the extra ``local`` is not installed.
    """

    def __init__(
        self,
        *,
        model: str = "microsoft/Promptist",
        revision: str = "",
        tokenizer: str = "openai-community/gpt2",
        device: Device = "auto",
    ) -> None:
        for module in ("torch", "transformers"):
            if find_spec(module) is None:
                raise MissingExtraError("refiner `promptist`", module, "local")
        self._weights = find_model(model, revision)
        own = any(
            (self._weights.path / name).is_file() for name in ("tokenizer.json", "vocab.json")
        )
        self._vocabulary = self._weights if own else find_model(tokenizer)
        self._device = resolve_device(device)
        self._loaded: tuple[Any, Any] | None = None
        self.info = PluginInfo(
            name="promptist",
            revision=self._weights.revision.removeprefix("sha256:")[:12],
            licence="MIT",
            fingerprint=self._fingerprint(),
            max_batch=8,
            seeded=False,
            extra="local",
        )

    def _fingerprint(self) -> dict[str, Any]:
        return {
            "model": self._weights.revision,
            "tokenizer": self._vocabulary.revision,
            "recipe": [_SUFFIX, _BEAMS, _MAX_NEW_TOKENS, _LENGTH_PENALTY],
            "device": device_kind(self._device),
            "libraries": {name: version(name) for name in ("torch", "transformers")},
        }

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt; one result per prompt, in order.

        Failure kinds: ``context`` (the prompt does not fit), ``empty``.
        """
        return [self._refinement(prompt) for prompt in prompts]

    def _refinement(self, prompt: str) -> Refinement | Failure:
        model, tokenizer = self._models()
        ids = tokenizer(prompt.strip() + _SUFFIX, return_tensors="pt")["input_ids"]
        room = model.config.max_position_embeddings - _MAX_NEW_TOKENS
        if ids.shape[1] > room:
            message = f"Expected at most {room} tokens, but got {ids.shape[1]}."
            return Failure("context", message)
        made = self._search(model, tokenizer, ids)
        text = one_line(tokenizer.decode(made, skip_special_tokens=True))
        if not text:
            return Failure("empty", "The model gave an empty text.")
        finished = bool((made == tokenizer.eos_token_id).any())
        tokens = int((made != tokenizer.eos_token_id).sum())
        return Refinement(text, tokens=tokens, finish_reason="stop" if finished else "length")

    def _search(self, model: Any, tokenizer: Any, ids: torch.Tensor) -> torch.Tensor:
        """The new tokens of the best beam."""
        import torch
        from transformers import GenerationConfig

        config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            num_beams=_BEAMS,
            max_new_tokens=_MAX_NEW_TOKENS,
            length_penalty=_LENGTH_PENALTY,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        ids = ids.to(model.device)
        with torch.inference_mode():
            output: torch.Tensor = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
            )
        return output[0, ids.shape[1] :].cpu()

    def _models(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = _load(self._weights, self._vocabulary.path, self._device)
        return self._loaded


def _load(weights: ModelFolder, vocabulary: Path, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, GenerationConfig

    from .language_model.conversation import load_tokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(
        weights.path, dtype="float32", local_files_only=True
    )
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    return model.to(device).eval(), load_tokenizer(vocabulary)
