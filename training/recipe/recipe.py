"""Recipes: everything that decides a training run, in one validated YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from phybench.errors import ConfigError, UnknownNameError

from .parts import Data, Evaluation, Grpo, Model, RecipePart, Reward, Sft


class Recipe(RecipePart):
    """One training run, both stages.

    Args:
        size: Names the checkpoint ``phyprompt-SIZE``.
        seed: Of data order, sampling, initial weights and clips.
        device: ``cpu``, ``cuda``, or ``auto``.
        system_prompt: What the model is told: a bundled prompt's name, or the text itself.
        output: Folder of the checkpoints.
        sft_checkpoint: Stage 1's checkpoint, if it lies elsewhere; several stages 2 can share one.
        report_to: Trackers by their name in transformers (``tensorboard``, ``wandb``, ``trackio``).
        gradient_checkpointing: Recompute activations to save memory.
        model: Where training begins.
        data: Stage 1's data.
        sft: Stage 1.
        reward: Stage 2's reward.
        grpo: Stage 2.
        evaluation: How an ablation evaluates; it decides nothing about the training.
    """

    size: str = Field(pattern=r"^[a-z0-9.\-]+$")
    seed: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    system_prompt: str = "phyprompt-v1"
    output: str = "checkpoints"
    sft_checkpoint: str = ""
    report_to: tuple[str, ...] = ()
    gradient_checkpointing: bool = False
    model: Model
    data: Data
    sft: Sft
    reward: Reward
    grpo: Grpo
    evaluation: Evaluation = Evaluation()

    @property
    def final(self) -> Path:
        """Folder of the finished checkpoint."""
        return Path(self.output) / f"phyprompt-{self.size}"

    @property
    def start(self) -> Path:
        """Folder of stage 1's checkpoint, where stage 2 starts."""
        if self.sft_checkpoint:
            return Path(self.sft_checkpoint).expanduser()
        return Path(self.output) / f"phyprompt-{self.size}-sft"

    @property
    def instructions(self) -> str:
        """The system prompt's text."""
        bundled = files("phybench.refiners") / "system_prompts" / f"{self.system_prompt}.md"
        if "/" not in self.system_prompt and bundled.is_file():
            return bundled.read_text("utf-8").strip()
        return self.system_prompt


def bundled() -> dict[str, Path]:
    """The bundled recipes by name."""
    folder = Path(str(files("phybench.training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: A bundled recipe's name, or a YAML file.
        changes: ``key=value`` each; the key is a path such as ``grpo.steps``, the value YAML.

    Raises:
        ConfigError: If there is no such recipe, a key is unknown or a value is invalid.
    """
    import yaml

    known = bundled()
    path = Path(name) if name.endswith((".yaml", ".yml")) else known.get(name)
    if path is None:
        raise UnknownNameError("recipe", name, known)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for change in changes:
            _set(data, change)
        return Recipe.model_validate(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read recipe {name!r}: {error}.") from error
    except ValidationError as error:
        raise ConfigError(_problem(name, error)) from error


def _set(data: Any, change: str) -> None:
    import yaml

    key, equals, value = change.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise ConfigError(f"Expected `--set key=value`, but got {change!r}.")
    for parent in parents:
        if isinstance(data, dict) and data.get(parent) is None:
            data[parent] = {}
        data = data[parent] if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise ConfigError(f"Expected `--set` to name a key of the recipe, but got {key!r}.")
    data[last] = yaml.safe_load(value)


def _problem(name: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the recipe"
    shown = "" if isinstance(first["input"], Mapping) else f" (got {first['input']!r})"
    return f"Expected `{where}` of recipe {name!r} to be valid: {first['msg']}{shown}."
