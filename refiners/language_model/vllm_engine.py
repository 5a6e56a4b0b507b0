"""Completions of a local causal language model with vLLM in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phybench.machine.files import read_json
from phybench.plugins.contracts import Failure

from .conversation import encode, load_tokenizer
from .engine import Completion, Message, Sampling


class VllmEngine:
    """A checkpoint in vLLM.

    vLLM schedules tokens of many prompts together, so a prompt's sampled reply may differ in its
    last bits with the load; ``VLLM_BATCH_INVARIANT=1`` makes it exact on the GPUs that vLLM
    supports it for.

    Args:
        model: Folder of a causal language model whose tokenizer has a chat template.
        adapter: Folder of a LoRA adapter to put on it, or ``None``.
        dtype: Name of a torch dtype.
        sampling: How tokens are drawn.
    """

    def __init__(
        self, model: Path, *, adapter: Path | None, dtype: str, sampling: Sampling
    ) -> None:
        from vllm import LLM
        from vllm.lora.request import LoRARequest

        lora: dict[str, Any] = {}
        if adapter is not None:
            rank = read_json(adapter / "adapter_config.json")["r"]
            lora = {"enable_lora": True, "max_lora_rank": max(8, rank)}
        # A checkpoint's generation config brings its own sampling; `vllm` means none of it.
        self._model = LLM(str(model), dtype=dtype, generation_config="vllm", seed=0, **lora)
        self._adapter = LoRARequest("adapter", 1, str(adapter)) if adapter else None
        self._tokenizer = load_tokenizer(model)
        self._sampling = sampling
        self._ends = _end_tokens(model)

    def complete(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int]
    ) -> list[Completion | Failure]:
        """Complete each conversation with its seed; one result per conversation, in order.

        Failure kind ``context``: the conversation does not fit into the model's context.
        """
        room = self._model.llm_engine.model_config.max_model_len - self._sampling.max_new_tokens
        encoded = [encode(self._tokenizer, conversation) for conversation in conversations]
        results: list[Completion | Failure] = [
            Failure("context", f"Expected at most {room} prompt tokens, but got {len(ids)}.")
            for ids in encoded
        ]
        fitting = [row for row, ids in enumerate(encoded) if len(ids) <= room]
        outputs = self._model.generate(
            [{"prompt_token_ids": encoded[row]} for row in fitting],
            [self._parameters(seeds[row]) for row in fitting],
            use_tqdm=False,
            lora_request=self._adapter,
        )
        for row, output in zip(fitting, outputs, strict=True):
            made = output.outputs[0]
            results[row] = Completion(
                text=self._tokenizer.decode(made.token_ids, skip_special_tokens=True),
                tokens=len(made.token_ids),
                finished=made.finish_reason == "stop",
            )
        return results

    def _parameters(self, seed: int) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            max_tokens=self._sampling.max_new_tokens,
            stop_token_ids=self._ends,
            seed=seed,
        )


def _end_tokens(model: Path) -> list[int]:
    """Further end tokens that the checkpoint lists beside the tokenizer's own."""
    path = model / "generation_config.json"
    listed = read_json(path).get("eos_token_id") if path.is_file() else None
    return [listed] if isinstance(listed, int) else list(listed or [])
