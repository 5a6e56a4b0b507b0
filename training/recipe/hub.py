"""Uploading a checkpoint or its data to the Hugging Face hub, with their cards; only on request."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.files import read_json
from phybench.refiners.phyprompt import read_card
from phybench.version import __version__

from ..setup import WORK, finished
from .recipe import Recipe

RECIPE, CARD = "recipe.json", "README.md"


def push_checkpoint(
    recipe: Recipe, stage: Literal["sft", "grpo"], repository: str, *, public: bool
) -> str:
    """Upload a finished checkpoint: weights, tokenizer, its card and the recipe; no trainer states.

    Args:
        recipe: The recipe that made it.
        stage: Which of its checkpoints.
        repository: ``USER/NAME``; made if absent.
        public: Whether a new repository is public.

    Returns:
        The commit's address.

    Raises:
        ConfigError: If there is no finished checkpoint or no token, or the hub refuses.
        MissingExtraError: If ``huggingface_hub`` is not installed.
    """
    folder = recipe.start if stage == "sft" else recipe.final
    if not finished(folder, stage):
        raise ConfigError(
            f"Expected a finished checkpoint of `{stage}` in {str(folder)!r}, but there is none. "
            f"Run `phybench train {stage}` with the same recipe first."
        )
    files: dict[str, Path | bytes] = {
        path.name: path for path in sorted(folder.iterdir()) if path.is_file()
    }
    files[RECIPE] = folder / WORK / RECIPE
    files[CARD] = _model_card(folder, recipe).encode()
    return _upload(repository, "model", files, public=public)


def push_data(recipe: Recipe, repository: str, *, public: bool) -> str:
    """Upload stage 1's triples with their card; arguments and errors as :func:`push_checkpoint`.

    Raises:
        ConfigError: Also if the data holds what its owner gave no licence to pass on.
    """
    if recipe.data.source == "phygenbench":
        raise ConfigError(
            "Expected data that may be passed on, but `data.source` is phygenbench, which has no "
            "licence. Upload the checkpoint alone."
        )
    work = recipe.start / WORK
    rows = work / "cot.jsonl"
    if not rows.is_file():
        raise ConfigError(
            f"Expected stage 1's data in {str(rows)!r}, but there is none. Run `phybench train "
            "sft` with the same recipe first."
        )
    files: dict[str, Path | bytes] = {
        "train.jsonl": rows,
        "cot-card.json": work / "cot-card.json",
        CARD: _data_card(work).encode(),
    }
    return _upload(repository, "dataset", files, public=public)


def _model_card(folder: Path, recipe: Recipe) -> str:
    card = read_card(folder)
    stages = "stage 1 (SFT)" if card.stage == "sft" else "stage 1 (SFT) and stage 2 (GRPO)"
    base = [] if recipe.model.scratch else [f"base_model: {card.base_model}"]
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "tags: [phybench, text-to-video, prompt-refinement]",
            *base,
            "---",
            f"# phyprompt-{card.size}",
            "",
            f"A prompt refiner made by phybench {__version__} with the recipe in `{RECIPE}`: "
            f"{stages} after PhyPrompt (arXiv 2603.03505), whose authors released no weights. "
            "This is a reproduction, not their model. The licence is that of the base model.",
            "",
            f"- Base: {card.base_model} {card.base_revision}",
            f"- Reward: {recipe.reward.generator} judged by {recipe.reward.judge}",
            f"- System prompt: {json.dumps(card.system_prompt, ensure_ascii=False)}",
            "- Use: `phybench run -r phyprompt:checkpoint=FOLDER`",
            "",
        ]
    )


def _data_card(work: Path) -> str:
    facts = read_json(work / "cot-card.json")
    return "\n".join(
        [
            "---",
            "configs: [{config_name: default, data_files: train.jsonl}]",
            "tags: [phybench, text-to-video, physics]",
            "---",
            "# Physics chain-of-thought triples",
            "",
            f"{facts['rows']} rows made by phybench {__version__}: prompt, law and reasoning, and "
            "the prompt that follows from them. Counts, hashes and what was dropped:",
            "",
            "```json",
            json.dumps(facts, indent=2, ensure_ascii=False),
            "```",
            "",
        ]
    )


def _upload(
    repository: str,
    kind: Literal["model", "dataset"],
    files: dict[str, Path | bytes],
    *,
    public: bool,
) -> str:
    api = _api()
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    added = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.items()
    ]
    message = f"Made by phybench {__version__}"
    try:
        api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        done = api.create_commit(
            repo_id=repository, operations=added, commit_message=message, repo_type=kind
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ConfigError(f"Cannot upload to {repository!r}: {error}") from error
    return str(done.commit_url)


def _api() -> Any:
    """The hub's client, with the token that the environment or `hf auth login` gives.

    Raises:
        ConfigError: If there is none.
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("`phybench train push`", "huggingface_hub", "train")
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise ConfigError(
            "Expected a token of the hub in HF_TOKEN (or from `hf auth login`), but there is none."
        )
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
