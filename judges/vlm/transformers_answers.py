"""Answering chat requests with a vision-language model in this process, by transformers."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure
from phybench.services.chat_client import ChatRequest, Reply

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class LocalAnswers:
    """A loaded model that answers one request after the other.

    One at a time, because models pad images and text each in their own way, and a judge's result
    may not depend on what else is in the batch.

    Args:
        folder: The checkpoint with its processor; safetensors only, no code of its own is run.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: Name of the weights' type.

    Raises:
        ConfigError: If the folder holds no such model, or torch has no such device.
    """

    def __init__(self, folder: Path, *, device: str, dtype: str) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError("Expected torch to see a CUDA device; give `device=cpu` if not.")
        try:
            make_processor: Any = AutoProcessor.from_pretrained
            self._processor = make_processor(folder, local_files_only=True, trust_remote_code=False)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"Expected {folder} to hold a vision-language model that transformers knows, but: "
                f"{error}"
            ) from error
        self._model = model.to(device).eval()
        self._device = device
        self._dtype = getattr(torch, dtype)

    def __call__(self, requests: Sequence[ChatRequest]) -> list[Reply | Failure]:
        """Answer each request; one result per request, in order.

        Failure kinds: ``length``, ``empty``, ``memory``.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: ChatRequest) -> Reply | Failure:
        try:
            return self._generate(request)
        except torch.OutOfMemoryError as error:
            problem = str(error)
        torch.cuda.empty_cache()
        return Failure("memory", f"One clip does not fit: {problem}", retryable=True)

    @torch.inference_mode()
    def _generate(self, request: ChatRequest) -> Reply | Failure:
        started = time.monotonic()
        inputs = self._processor.apply_chat_template(
            [_local_message(message) for message in request.messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._device, dtype=self._dtype)
        length = inputs["input_ids"].shape[1]
        arguments = _generation_arguments(request.sampling)
        # The seed is the request's own; the process's random state stays as it was.
        with torch.random.fork_rng():
            torch.manual_seed(request.sampling.get("seed", 0))
            ids = self._model.generate(**inputs, **arguments)[0, length:]
        text = self._processor.decode(ids, skip_special_tokens=True)
        return _finished(text, ids.tolist(), self._ends(), length, time.monotonic() - started)

    def _ends(self) -> set[int]:
        ends = self._model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


def _finished(
    text: str, ids: Sequence[int], ends: set[int], prompt_tokens: int, seconds: float
) -> Reply | Failure:
    if not ids or ids[-1] not in ends:
        return Failure(
            "length", "The answer was cut at the token limit. Raise `max_tokens`.", reply=text
        )
    if not text.strip():
        return Failure("empty", "The answer is empty.")
    return Reply(
        text=text,
        prompt_tokens=prompt_tokens,
        completion_tokens=len(ids),
        latency_s=seconds,
        cost_usd=0.0,
    )


def _local_message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": message["role"], "content": [_local_part(part) for part in parts]}


def _local_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] != "image_url":
        return dict(part)
    # The same JPEG that a server would get, so that both ways judge the same pixels.
    data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return {"type": "image", "image": Image.open(io.BytesIO(data)).convert("RGB")}


def _generation_arguments(sampling: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: sampling[name] for name in _SAMPLING if name in sampling}
    temperature = known.pop("temperature", 0)
    arguments: dict[str, Any] = {"max_new_tokens": sampling["max_tokens"], "num_beams": 1}
    if temperature == 0:
        # Neutral values, or the checkpoint's own sampling settings would be warned about.
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        penalty = {"repetition_penalty": known.get("repetition_penalty", 1.0)}
        return {**arguments, **greedy, **penalty}
    if known.get("top_k") == -1:
        known["top_k"] = 0
    neutral = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    return {**arguments, "do_sample": True, "temperature": temperature, **neutral, **known}
