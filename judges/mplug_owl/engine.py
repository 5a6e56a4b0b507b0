"""Running clips through a judge's model: loading once, batching, and failing clip by clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure, JudgeRequest, Score
from phybench.video.video_file import VideoError

from .dialogue import Dialogue
from .frames import normalise, read_clip
from .model import OwlModel
from .quantize import quantize_language
from .settings import Settings
from .tokens import OwlTokenizer
from .weights import build_model, read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = Score | Failure
_READERS = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to be asked.

    Args:
        model: The weights.
        tokenizer: Text to ids.
        dialogue: Asks and writes.
        device: Where it runs.
    """

    model: OwlModel
    tokenizer: OwlTokenizer
    dialogue: Dialogue
    device: str


Answer = Callable[[Loaded, Tensor, Sequence[JudgeRequest]], Sequence[Result]]
"""From clips' embeddings (C, media tokens, width) and requests to one result each."""


def load_owl(settings: Settings) -> Loaded:
    """Load a checkpoint.

    Raises:
        ConfigError: If torch has no such device, or the files do not fit the configuration.
    """
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            "Expected torch to see a CUDA device, but it does not. Give `device=cpu`, or install "
            "a torch build with CUDA."
        )
    config, files = settings.files.config, settings.files
    dtype = getattr(torch, settings.dtype)
    # A model to be quantised is built in memory-mapped host memory and shrinks on its way over.
    first_home = "cpu" if settings.quantize != "none" else settings.device
    model = build_model(config, read_tensors(files.weights), device=first_home, dtype=dtype)
    if settings.quantize != "none":
        model = quantize_language(model, settings.quantize, dtype).to(settings.device)
    if settings.compiled:
        model.vision.compile()
        model.abstractor.compile()
    text = config.text_config
    tokenizer = OwlTokenizer(
        files.tokenizer, media_tokens=config.media_tokens, bos=text.bos_token_id
    )
    dialogue = Dialogue(model, space_id=tokenizer.space_id, eos_id=text.eos_token_id)
    return Loaded(model, tokenizer, dialogue, settings.device)


class OwlEngine:
    """Scores clips in batches.

    Args:
        loaded: The model.
        batch: Clips per forward pass; halved for good when the GPU's memory does not suffice.
    """

    def __init__(self, loaded: Loaded, batch: int) -> None:
        self._loaded = loaded
        self.batch = batch
        self._size = loaded.model.config.vision_config.image_size

    def score(self, requests: Sequence[JudgeRequest], answer: Answer) -> list[Result]:
        """One result per request, in order; clips are decoded while the model works."""
        results: list[Result] = []
        with ThreadPoolExecutor(_READERS) as pool:
            chunk, rest = self._next(requests, pool)
            while chunk:
                following, rest = self._next(rest, pool)
                results += self._score_chunk(chunk, answer)
                chunk = following
        return results

    def _next(
        self, requests: Sequence[JudgeRequest], pool: ThreadPoolExecutor
    ) -> tuple[list[_Pending], Sequence[JudgeRequest]]:
        taken, rest = requests[: self.batch], requests[self.batch :]
        return [_Pending(item, pool.submit(self._read, item)) for item in taken], rest

    def _read(self, request: JudgeRequest) -> NDArray[np.uint8] | Failure:
        if request.clip.path is None:
            return Failure("no-video", f"Clip {request.clip.source!r} has no file to look at.")
        try:
            return read_clip(request.clip.path, self._size, expected=request.clip.frames)
        except VideoError as error:
            return Failure("decode", str(error))

    def _score_chunk(self, chunk: Sequence[_Pending], answer: Answer) -> list[Result]:
        read = [(pending.request, pending.frames.result()) for pending in chunk]
        readable = [(item, frames) for item, frames in read if not isinstance(frames, Failure)]
        scored = iter(self._infer(readable, answer))
        return [frames if isinstance(frames, Failure) else next(scored) for _, frames in read]

    def _infer(
        self, clips: Sequence[tuple[JudgeRequest, NDArray[np.uint8]]], answer: Answer
    ) -> list[Result]:
        if not clips:
            return []
        try:
            return self._forward(clips, answer)
        except torch.OutOfMemoryError as error:
            problem = str(error)
        # Outside the handler, so that the traceback no longer holds the tensors.
        torch.cuda.empty_cache()
        if len(clips) == 1:
            return [Failure("memory", f"One clip does not fit: {problem}", retryable=True)]
        middle = len(clips) // 2
        self.batch = min(self.batch, middle)
        return self._infer(clips[:middle], answer) + self._infer(clips[middle:], answer)

    @torch.inference_mode()
    def _forward(
        self, clips: Sequence[tuple[JudgeRequest, NDArray[np.uint8]]], answer: Answer
    ) -> list[Result]:
        loaded = self._loaded
        dtype = loaded.model.vision.cls_token.dtype
        pixels = torch.stack(
            [normalise(frames, device=loaded.device).to(dtype) for _, frames in clips]
        )
        return list(answer(loaded, loaded.model.encode(pixels), [item for item, _ in clips]))


@dataclass(frozen=True, slots=True)
class _Pending:
    """A clip that is being decoded."""

    request: JudgeRequest
    frames: Future[NDArray[np.uint8] | Failure]
