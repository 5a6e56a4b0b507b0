"""What both stages need before a trainer exists: device, folders, and the marks of a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.files import read_json, write_text
from phybench.machine.model_folders import find_model
from phybench.refiners.phyprompt import CARD_FILE, CheckpointCard, read_card, write_card

from .recipe.parts import Lora
from .recipe.recipe import Recipe

WORK = "training"
"""Sub-folder of a checkpoint with the trainer's own states and logs."""
_MODULES = ("torch", "transformers", "accelerate", "peft", "trl", "datasets")


def check_installed() -> None:
    """Raise unless the extra ``train`` is installed.

    Raises:
        MissingExtraError: Naming the first module that is missing.
    """
    for module in _MODULES:
        if find_spec(module) is None:
            raise MissingExtraError("`phybench train`", module, "train")


def device_of(recipe: Recipe) -> Literal["cpu", "cuda"]:
    """Where to train.

    Raises:
        ConfigError: If CUDA is asked for and torch finds no GPU.
    """
    import torch

    if recipe.device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if recipe.device == "cuda":
        raise ConfigError("Expected a usable GPU, but torch finds none. Use --set device=cpu.")
    return "cpu"


def dtype_of(recipe: Recipe) -> str:
    """Precision of the weights where we train."""
    return recipe.model.dtype if device_of(recipe) == "cuda" else "float32"


def precision(recipe: Recipe) -> dict[str, Any]:
    """The trainer's arguments on device and precision; the defaults refuse to run on a CPU."""
    cpu = device_of(recipe) == "cpu"
    return {
        "use_cpu": cpu,
        "bf16": not cpu and recipe.model.dtype == "bfloat16",
        "gradient_checkpointing": recipe.gradient_checkpointing,
    }


def lora_config(lora: Lora | None) -> Any:
    """PEFT's config of an adapter, or ``None``."""
    if lora is None:
        return None
    from peft import LoraConfig

    modules = lora.modules if isinstance(lora.modules, str) else list(lora.modules)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
        task_type="CAUSAL_LM",
    )


def process() -> Any:
    """This process's place among those that train together (accelerate's state)."""
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    # Without a GPU it must be told so, or every rank takes itself for the only one.
    return PartialState(cpu=not torch.cuda.is_available())


def accumulation(whole: int, micro: int, what: str) -> int:
    """Forward passes per device and optimiser step.

    Raises:
        ConfigError: If the batch cannot be shared out evenly.
    """
    world = process().num_processes
    if whole % (micro * world):
        raise ConfigError(
            f"Expected {what} ({whole}) to be a multiple of `micro_batch` × processes "
            f"({micro} × {world})."
        )
    return int(whole // (micro * world))


def claim(folder: Path, stage: str, recipe: Recipe) -> Path:
    """The trainer's folder for a stage; a second call with the same recipe continues in it.

    Raises:
        ConfigError: If it holds the work of another recipe.
    """
    work = folder / WORK
    work.mkdir(parents=True, exist_ok=True)
    note = work / "recipe.json"
    if note.exists() and not _same(read_json(note)["recipe"], recipe):
        raise ConfigError(
            f"Expected {str(folder)!r} to be empty or of the same recipe, but it holds a training "
            f"of another one ({note}). Give another folder with --set output=FOLDER, or remove it."
        )
    if not process().is_main_process:
        return work
    text = json.dumps({"stage": stage, "recipe": recipe.model_dump(mode="json")}, indent=2)
    write_text(note, text + "\n")
    return work


def _same(stored: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a recorded recipe is this one; keys that are newer than it have their default."""
    try:
        known = Recipe.model_validate(stored)
    except ValidationError:
        return False
    return _deciding(known.model_dump()) == _deciding(recipe.model_dump())


def _deciding(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without where results go, who tracks or evaluates them and what may stop it."""
    kept = {key: recipe[key] for key in recipe if key not in {"output", "report_to", "evaluation"}}
    kept["grpo"] = {**recipe["grpo"], "stop_on_hacking": None}
    return kept


def finished(folder: Path, stage: Literal["sft", "grpo"]) -> bool:
    """Whether a folder holds a stage's finished checkpoint: the card is what is written last."""
    return (folder / CARD_FILE).is_file() and read_card(folder).stage == stage


def begin_of(recipe: Recipe) -> Path:
    """Folder of the model that stage 2 begins from and that its KL divergence is measured to."""
    if recipe.grpo.begin == "sft":
        return recipe.start
    if recipe.model.scratch is None:
        return find_model(recipe.model.path, recipe.model.revision).path
    work = recipe.start / WORK
    return work / "copied" if (work / "copied").is_dir() else work / "base"


def last_checkpoint(work: Path) -> str | None:
    """The newest complete checkpoint of a trainer's folder, if any."""
    steps = [
        (int(path.name.rpartition("-")[2]), path)
        for path in work.glob("checkpoint-*")
        if (path / "trainer_state.json").is_file()
    ]
    return str(max(steps)[1]) if steps else None


def base_of(recipe: Recipe) -> tuple[str, str]:
    """Name and revision of the model that training began from, for the checkpoint's card."""
    if recipe.model.scratch is not None:
        return "scratch", f"seed-{recipe.seed}"
    found = find_model(recipe.model.path, recipe.model.revision)
    return found.name, found.revision


def save_weights(trainer: Any, tokenizer: Any, folder: Path) -> None:
    """Write a trainer's weights, an adapter merged into them, and the tokenizer."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def save_checkpoint(
    trainer: Any, tokenizer: Any, folder: Path, recipe: Recipe, stage: Literal["sft", "grpo"]
) -> None:
    """Write the finished weights (an adapter merged into them), tokenizer and card.

    The card is written last: a folder without one is not a trained checkpoint.
    """
    save_weights(trainer, tokenizer, folder)
    name, revision = base_of(recipe)
    write_card(
        folder,
        CheckpointCard(
            size=recipe.size,
            stage=stage,
            system_prompt=recipe.instructions,
            base_model=name,
            base_revision=revision,
            max_new_tokens=recipe.grpo.max_new_tokens,
        ),
    )
