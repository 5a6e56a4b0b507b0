"""PhyPrompt: the rewriter that ``phybench train`` makes (after arXiv 2603.03505).

PhyPrompt's authors released neither weights nor code, so there is nothing to download. This plugin
runs a checkpoint of our training under that name, and only that: a folder without the card that
training writes is refused, because an untrained model under a trained model's name is a lie.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from phybench.errors import ConfigError
from phybench.machine.devices import Device, Dtype
from phybench.machine.files import read_json
from phybench.plugins.contracts import Failure, Refinement
from phybench.prompts.seeds import item_seed

from .language_model.engine import Quantisation, Sampling
from .language_model.local_model import EngineName, LazyEngine, local_model
from .local import refinement
from .rewriting import chain_of_thought as reasoning
from .rewriting.replies import (
    PARSER_VERSION,
    Rewrite,
    check_rewrite,
    read_reasoning,
)

Size = Literal["7b", "3b", "1.5b", "mini"]
_SIZES = {
    "7b": "about 15.2 GB, or an adapter on Qwen2.5-7B-Instruct",
    "3b": "about 6.2 GB, or an adapter on Qwen2.5-3B-Instruct",
    "1.5b": "about 3.1 GB, or an adapter on Qwen2.5-1.5B-Instruct",
    "mini": "less than 0.1 GB",
}
"""What a checkpoint is; 7.62, 3.09 and 1.54 billion parameters (their cards) in bfloat16."""
CARD_FILE = "phyprompt.json"
"""The file that tells a trained checkpoint from any other model folder."""
INSTRUCTIONS = "phyprompt-v1"
"""The system prompt that recipes train with unless they bring their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCard:
    """What training writes beside the weights, so that inference asks as training did.

    Args:
        size: The recipe's size, e.g. ``7b``.
        stage: ``sft`` or ``grpo``: the last stage the weights went through.
        system_prompt: What the model was told in training.
        base_model: Hub id or folder of the model that training began from.
        base_revision: Its commit, or a digest.
        max_new_tokens: Longest reply that training allowed.
        format_version: Version of the chain-of-thought format
            (:data:`phybench.refiners.rewriting.chain_of_thought.FORMAT_VERSION`).
    """

    size: str
    stage: Literal["sft", "grpo"]
    system_prompt: str
    base_model: str
    base_revision: str = ""
    max_new_tokens: int = 512
    format_version: int = reasoning.FORMAT_VERSION


def write_card(folder: Path, card: CheckpointCard) -> None:
    """Write a checkpoint's card; training calls this when the weights are saved."""
    import json

    text = json.dumps(asdict(card), indent=2, ensure_ascii=False)
    (folder / CARD_FILE).write_text(f"{text}\n", encoding="utf-8")


def read_card(folder: Path) -> CheckpointCard:
    """Read a checkpoint's card.

    Raises:
        ConfigError: If it is absent, damaged, or of a chain-of-thought format we do not read.
    """
    data = read_json(folder / CARD_FILE)
    try:
        card = TypeAdapter(CheckpointCard).validate_python(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ConfigError(
            f"Expected {str(folder / CARD_FILE)!r} to describe a trained checkpoint, but "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}."
        ) from error
    if card.format_version != reasoning.FORMAT_VERSION:
        raise ConfigError(
            f"Expected a checkpoint of reasoning format {reasoning.FORMAT_VERSION}, but "
            f"{str(folder)!r} was trained with format {card.format_version}. Train it again."
        )
    return card


def training_messages(prompt: str, system_prompt: str) -> list[dict[str, str]]:
    """The conversation before the model's reply, the same in training and inference."""
    return [
        {"role": "system", "content": system_prompt},
        {"role": "user", "content": prompt},
    ]


def default_checkpoint(size: Size) -> Path:
    """Where training puts a checkpoint and this plugin looks for it.

    ``$PHYBENCH_CHECKPOINTS/phyprompt-SIZE``, or ``checkpoints/phyprompt-SIZE`` in the current
    folder; the ``mini`` checkpoint is bundled with the package.
    """
    if size == "mini":
        return Path(str(files("phybench.refiners"))) / "phyprompt-mini"
    return Path(os.environ.get("PHYBENCH_CHECKPOINTS", "checkpoints")) / f"phyprompt-{size}"


class PhyPrompt:
    """Rewrites prompts with a checkpoint that ``phybench train`` made.

    Args:
        size: Which of the recipes: ``7b``, ``3b``, ``1.5b`` (Qwen2.5-Instruct) or ``mini``.
        checkpoint: Folder of the checkpoint, a full model or a LoRA adapter with the card that
            training writes; empty for :func:`default_checkpoint`.
        base: For an adapter: folder or hub id of the base model, if it lies elsewhere than the
            card says.
        engine: ``transformers``, or ``vllm`` in this process.
        device: ``auto`` takes a GPU if there is one.
        dtype: ``auto`` is bfloat16 on a GPU, float32 on a CPU.
        quantisation: ``8bit`` or ``4bit`` with bitsandbytes (GPU).
        temperature: 0 for the likeliest reply, whatever the seed. The paper does not say; 0.7 is
            our choice.
        top_p: Share of probability that tokens are drawn from.
        max_new_tokens: Longest reply, reasoning included; a longer one is a failure. ``None`` for
            what training allowed.
        batch: Prompts at a time.
        tries: Times that a reply is drawn, each with a seed of its own, until one can be used. The
            refinement's ``meta["tries"]`` says how many it took, if more than one.

    Raises:
        ConfigError: If there is no trained checkpoint; the message says how to make one and where
            it was looked for. If several tries are asked for at temperature 0, where all are equal.
        MissingExtraError: If the engine's libraries are not installed.
    """

    def __init__(
        self,
        *,
        size: Size = "7b",
        checkpoint: str = "",
        base: str = "",
        engine: EngineName = "transformers",
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantisation: Quantisation = "none",
        temperature: Annotated[float, Field(ge=0, le=2)] = 0.7,
        top_p: Annotated[float, Field(gt=0, le=1)] = 1.0,
        max_new_tokens: Annotated[int, Field(ge=1)] | None = None,
        batch: Annotated[int, Field(ge=1)] = 8,
        tries: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        if tries > 1 and temperature == 0:
            raise ConfigError(
                f"Expected `temperature` to be > 0 with `tries={tries}`, but got 0: the likeliest "
                "reply is the same every time."
            )
        self._tries = tries
        folder = Path(checkpoint).expanduser() if checkpoint else default_checkpoint(size)
        self._card = _trained(folder, size)
        setup = local_model(
            **_weights(folder, self._card, base),
            engine=engine,
            device=device,
            dtype=dtype,
            quantisation=quantisation,
            batch=batch,
            sampling=Sampling(temperature, top_p, max_new_tokens or self._card.max_new_tokens),
        )
        self._engine = LazyEngine(setup)
        self.info = setup.describe(
            f"phyprompt-{self._card.size}",
            "that of the base model",
            {
                "card": asdict(self._card),
                "parser": PARSER_VERSION,
                # Left out where it changes nothing, so that what earlier versions made is known.
                **({"tries": tries} if tries > 1 else {}),
            },
        )

    @property
    def system_prompt(self) -> str:
        """What the model was told in training, and is told now."""
        return self._card.system_prompt

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt with its seed; failures as in :meth:`.local.Local.refine`."""
        results = self._drawn(prompts, seeds)
        for number in range(1, self._tries):
            left = [row for row, result in enumerate(results) if isinstance(result, Failure)]
            again = self._drawn(
                [prompts[row] for row in left],
                [item_seed(seeds[row], "try", number) for row in left],
            )
            for row, result in zip(left, again, strict=True):
                results[row] = _counted(result, number + 1)
        return results

    def _drawn(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Refinement | Failure]:
        conversations = [training_messages(text, self.system_prompt) for text in prompts]
        replies = self._engine.complete(conversations, seeds) if prompts else []
        return [
            refinement(reply, partial(self._rewrite, prompt=prompt))
            for reply, prompt in zip(replies, prompts, strict=True)
        ]

    def _rewrite(self, reply: str, prompt: str) -> Rewrite:
        rewrite = read_reasoning(reply)
        check_rewrite(rewrite, prompt=prompt, instructions=self.system_prompt, language="english")
        return rewrite


def _counted(result: Refinement | Failure, tries: int) -> Refinement | Failure:
    """A later try's result, with the number of tries it took."""
    if isinstance(result, Failure):
        return result
    return replace(result, meta={**result.meta, "tries": tries})


def _trained(folder: Path, size: Size) -> CheckpointCard:
    recipe = f"phyprompt-{size}"
    command = f"phybench train sft {recipe} && phybench train grpo {recipe}"
    if not folder.is_dir():
        raise ConfigError(
            f"Expected a trained checkpoint for refiner `{recipe}` ({_SIZES[size]}), but there is "
            f"none.\nLooked in: {folder.absolute()} (`checkpoint=FOLDER` or PHYBENCH_CHECKPOINTS "
            "move it)\n"
            f"PhyPrompt's authors released no weights; make them with: {command}\n"
            "Nothing to train on here? `phybench run -r template` is the nearest that runs without."
        )
    if not (folder / CARD_FILE).is_file():
        raise ConfigError(
            f"Expected {str(folder.absolute())!r} to hold `{CARD_FILE}`, which training writes, "
            f"but it has none, so it is not a trained PhyPrompt. Make one with: {command}. "
            "To run any other model, use `local:model=FOLDER`."
        )
    return read_card(folder)


def _weights(folder: Path, card: CheckpointCard, base: str) -> dict[str, Any]:
    """The options of :func:`local_model` that say which weights to load."""
    if (folder / "adapter_config.json").is_file():
        revision = "" if base or Path(card.base_model).is_dir() else card.base_revision
        return {
            "model": base or card.base_model,
            "revision": revision,
            "adapter": str(folder),
        }
    if base:
        raise ConfigError(
            f"Expected no `base` for {str(folder)!r}, but got {base!r}: it is a whole model, "
            "not an adapter."
        )
    return {"model": str(folder)}
