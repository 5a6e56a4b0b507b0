"""What stage 1 will cost, before it starts: answers of a teacher, samples, tokens, steps, disk."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.model_folders import find_model
from phybench.prompts.prompt_sets import load_prompts
from phybench.units.cache import Cache

from ..data.dataset import prepare
from ..data.triples import Triple
from ..recipe.parts import Scratch
from ..recipe.recipe import Recipe
from ..setup import WORK, finished
from ..stage2.timing import timing_key

_STATES = 2
"""Trainer states that are kept; each holds the weights and AdamW's two moments."""
_BYTES = 4
"""Of a weight in float32, as a new model has them."""


@dataclass(frozen=True, slots=True)
class SftForecast:
    """What stage 1 has to do.

    Args:
        done: Whether its checkpoint is there already.
        teacher_answers: Answers that a teacher gives at most, cached ones included; 0 without one.
        samples: Samples that are trained on; with a teacher an upper bound, as nobody is asked.
        copying: Rows of the phase before.
        tokens: Tokens of all epochs, or ``None`` where the samples or the tokenizer are not there
            yet.
        steps: Optimiser steps of stage 1 itself.
        copying_steps: Optimiser steps of the phase before.
        seconds: Of the steps of stage 1 itself, by earlier trainings like this one on this machine;
            ``None`` without one.
        disk_bytes: Checkpoint and trainer states, or ``None`` where the model is not there. An
            adapter's states are small and left out.
    """

    done: bool
    teacher_answers: int
    samples: int
    copying: int
    tokens: int | None
    steps: int
    copying_steps: int
    seconds: float | None
    disk_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The forecast for a person."""
        asked = f"{self.teacher_answers} answers of the teacher, " if self.teacher_answers else ""
        most = "at most " if self.teacher_answers else ""
        tokens = "tokens unknown" if self.tokens is None else f"{self.tokens} tokens"
        before = f" after {self.copying_steps} of copying" if self.copying_steps else ""
        time = "time unknown"
        if self.seconds is not None:
            time = f"about {self.seconds / 60:.1f} minutes by earlier trainings"
        disk = "disk unknown"
        if self.disk_bytes is not None:
            disk = f"up to {self.disk_bytes / 2**30:.2f} GiB"
        done = "done before: " if self.done else ""
        return (
            f"{done}{asked}{most}{self.samples} samples ({tokens}), {self.steps} steps{before}, "
            f"{time}, {disk}"
        )


def forecast_sft(recipe: Recipe, cache: Cache) -> SftForecast:
    """Count what a recipe's stage 1 will do; data that costs nothing is built for it.

    Args:
        recipe: The recipe.
        cache: Where earlier timings are kept.

    Raises:
        ConfigError: If the data cannot be built.
    """
    sft = recipe.sft
    answers = _teacher_answers(recipe)
    samples = () if answers else prepare(recipe, cache).samples
    count = answers or len(samples)
    steps = math.ceil(sft.epochs * math.ceil(count / sft.batch))
    step = cache.mean_seconds(timing_key(recipe, "sft"))
    return SftForecast(
        done=finished(recipe.start, "sft"),
        teacher_answers=answers,
        samples=count,
        copying=sft.copying,
        tokens=_tokens(recipe, samples) if samples else None,
        steps=steps,
        copying_steps=math.ceil(sft.copying / sft.batch),
        seconds=None if step is None else step * steps,
        disk_bytes=_disk(recipe),
    )


def _teacher_answers(recipe: Recipe) -> int:
    data = recipe.data
    if data.source == "teacher":
        rows = len(load_prompts(data.prompts).prompts)
    elif data.source == "phygenbench":
        rows = _rows(data.path)
    else:
        return 0
    return rows


def _rows(path: str) -> int:
    """Rows of PhyGenBench's file."""
    try:
        rows = json.loads(Path(path).expanduser().read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Expected PhyGenBench's explicit_prompts.json under `data.path`, but {path!r} cannot "
            f"be read: {error}. Give it with --set data.path=FILE."
        ) from error
    return len(rows)


def _tokens(recipe: Recipe, samples: Sequence[Triple]) -> int | None:
    folder = _model_folder(recipe)
    if folder is None or find_spec("transformers") is None:
        return None
    from phybench.refiners.language_model.conversation import load_tokenizer

    from .sft import conversation_tokens

    tokenizer = load_tokenizer(folder)
    whole = sum(conversation_tokens(sample, tokenizer, recipe) for sample in samples)
    return math.ceil(whole * recipe.sft.epochs)


def _model_folder(recipe: Recipe) -> Path | None:
    """The model that training begins from, if it is there yet."""
    if recipe.model.scratch is not None:
        base = recipe.start / WORK / "base"
        return base if (base / "tokenizer.json").is_file() else None
    try:
        return find_model(recipe.model.path, recipe.model.revision).path
    except ConfigError:
        return None


def _disk(recipe: Recipe) -> int | None:
    weights = None
    if recipe.model.scratch is not None:
        weights = _BYTES * parameters(recipe.model.scratch)
    elif folder := _model_folder(recipe):
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not weights:
        return None
    return weights * (1 + (0 if recipe.sft.lora else 3 * _STATES))


def parameters(shape: Scratch) -> int:
    """Weights of a new model: tied embeddings, and per layer attention with biases and the MLP."""
    width = shape.hidden
    attention, mlp, norms = 4 * width**2 + 3 * width, 3 * width * (3 * width), 2 * width
    return shape.vocabulary * width + shape.layers * (attention + mlp + norms) + width
