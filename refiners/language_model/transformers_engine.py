"""Completions of a local causal language model with transformers.

Two properties that ``generate`` does not have by itself, and that a paired evaluation needs:

* **Seeded per prompt.** Each prompt draws from its own random numbers, one per token, and the
  token is found by inverting the cumulative distribution; neighbours in the batch change nothing.
* **Independent of the batch.** The last bits of a matrix product depend on its shape, and one
  flipped bit can change a token and everything after it. So every forward pass has the same number
  of rows (a short batch is filled up with copies), and each prompt is padded on the left to a
  length that follows from the prompt alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure

from .conversation import encode, load_tokenizer
from .engine import Completion, Message, Quantisation, Sampling

if TYPE_CHECKING:
    import torch

_LENGTH_STEP = 64
"""Prompts are padded to a multiple of this many tokens: few shapes, little waste."""


class TransformersEngine:
    """A checkpoint in memory.

    Args:
        model: Folder of a causal language model whose tokenizer has a chat template.
        adapter: Folder of a LoRA adapter to put on it, or ``None``.
        device: ``cpu`` or ``cuda``.
        dtype: Name of a torch dtype.
        quantisation: ``8bit`` or ``4bit`` load the weights with bitsandbytes.
        batch: Rows of every forward pass.
        sampling: How tokens are drawn.

    Raises:
        ConfigError: If CUDA is asked for and not usable.
    """

    def __init__(
        self,
        model: Path,
        *,
        adapter: Path | None,
        device: str,
        dtype: str,
        quantisation: Quantisation,
        batch: int,
        sampling: Sampling,
    ) -> None:
        self._model = _load(model, adapter, device, dtype, quantisation)
        self._tokenizer = load_tokenizer(model)
        self._batch = batch
        self._sampling = sampling

    def complete(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int]
    ) -> list[Completion | Failure]:
        """Complete each conversation with its seed; one result per conversation, in order.

        Failure kinds: ``context`` (the conversation does not fit into the model's context) and
        ``memory`` (the device ran out of memory).
        """
        encoded = [encode(self._tokenizer, conversation) for conversation in conversations]
        results: list[Completion | Failure] = [self._too_long(ids) for ids in encoded]
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(encoded):
            if len(ids) <= self._room:
                by_length.setdefault(_padded_length(len(ids)), []).append(row)
        for length, rows in by_length.items():
            for start in range(0, len(rows), self._batch):
                part = rows[start : start + self._batch]
                made = self._generate(
                    [encoded[row] for row in part], [seeds[row] for row in part], length
                )
                for row, result in zip(part, made, strict=True):
                    results[row] = result
        return results

    @property
    def _room(self) -> int:
        """Longest conversation in tokens that leaves room for the completion."""
        context: int = self._model.config.max_position_embeddings
        return context - self._sampling.max_new_tokens

    def _too_long(self, ids: Sequence[int]) -> Failure:
        return Failure(
            "context",
            f"Expected at most {self._room} prompt tokens, but got {len(ids)}: the model's "
            f"context, less `max_new_tokens` = {self._sampling.max_new_tokens}.",
        )

    def _generate(
        self, encoded: list[list[int]], seeds: Sequence[int], length: int
    ) -> list[Completion | Failure]:
        import torch

        fill = self._batch - len(encoded)
        rows = [*encoded, *[encoded[0]] * fill]
        ends = self._end_tokens()
        ids = torch.full((len(rows), length), ends[0])
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, length - len(tokens) :] = torch.tensor(tokens)
            mask[row, length - len(tokens) :] = 1
        try:
            output = self._forward(ids, mask, [*seeds, *[seeds[0]] * fill], ends)
        except torch.OutOfMemoryError:
            message = f"The device has not enough memory for `batch` = {self._batch}. Lower it."
            return [Failure("memory", message, retryable=True)] * len(encoded)
        return [self._completion(row[length:].tolist(), ends) for row in output[: len(encoded)]]

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, seeds: Sequence[int], ends: list[int]
    ) -> torch.Tensor:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        processors = LogitsProcessorList()
        if self._sampling.temperature > 0:
            processors.append(seeded_sampler(self._sampling, seeds))
        # Our processor leaves one token possible, so the greedy search below takes it.
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=self._sampling.max_new_tokens,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )
        with torch.inference_mode():
            output: torch.Tensor = self._model.generate(
                input_ids=ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                generation_config=config,
                logits_processor=processors,
            )
        return output

    def _end_tokens(self) -> list[int]:
        """The tokens that end a reply: the checkpoint's own list, else the tokenizer's mark."""
        listed = self._model.generation_config.eos_token_id
        ends = [listed] if isinstance(listed, int) else list(listed or [])
        return ends or [self._tokenizer.eos_token_id]

    def _completion(self, tokens: list[int], ends: list[int]) -> Completion:
        stop = next((at for at, token in enumerate(tokens) if token in ends), None)
        kept = tokens if stop is None else tokens[: stop + 1]
        text = self._tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(text=text, tokens=len(kept), finished=stop is not None)


def _padded_length(tokens: int) -> int:
    return -(-tokens // _LENGTH_STEP) * _LENGTH_STEP


def _load(
    folder: Path,
    adapter: Path | None,
    device: str,
    dtype: str,
    quantisation: Quantisation,
) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError("Expected a usable GPU, but torch finds none. Give `device=cpu`.")
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "local_files_only": True}
    if quantisation != "none":
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_8bit=quantisation == "8bit",
            load_in_4bit=quantisation == "4bit",
            bnb_4bit_compute_dtype=options["dtype"],
        )
    model: Any = AutoModelForCausalLM.from_pretrained(folder, device_map=device, **options)
    # A checkpoint's generation config brings its own sampling (Qwen: repetition penalty, top-k);
    # only its end tokens are a property of the model.
    ends = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends)  # type: ignore[no-untyped-call]
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter, local_files_only=True)
    model.eval()
    return model


def seeded_sampler(sampling: Sampling, seeds: Sequence[int]) -> Any:
    """A logits processor that draws each row's next token from the row's own random numbers."""
    import torch

    draws = [torch.Generator().manual_seed(seed) for seed in seeds]

    def pick(_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        shares, order = torch.sort(
            torch.softmax(scores.double() / sampling.temperature, dim=-1),
            descending=True,
            stable=True,
        )
        upto = shares.cumsum(dim=-1)
        # A token is kept if those before it hold less than top_p: at least one always is.
        kept = torch.where(upto - shares < sampling.top_p, shares, 0.0).sum(-1, keepdim=True)
        points = [torch.rand(1, generator=draw, dtype=torch.float64) for draw in draws]
        target = torch.stack(points).to(scores.device) * kept
        place = (upto <= target).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(-1, order.gather(-1, place), 0.0)

    return pick
