"""Finding the folders that generator ``diffusers`` loads from."""

from __future__ import annotations

from pathlib import Path

from phybench.errors import ConfigError
from phybench.machine.model_folders import Checkpoint, find_checkpoint, is_local

from ..checkpoint_files import expected_files, missing_error, missing_files
from .model_card import ModelCard


def locate(name: str, card: ModelCard, model: str, revision: str, download: bool) -> Checkpoint:
    """The checkpoint's folder, downloaded only on an explicit wish.

    Raises:
        ConfigError: If files are missing, with their names and sizes.
    """
    wanted = model or card.model
    branch = revision or card.revision
    found = find_checkpoint(wanted, branch)
    missing = (
        missing_files(found.folder, card.components) if found else expected_files(card.components)
    )
    if not missing and found:
        return found
    if download and not is_local(wanted):
        return download_checkpoint(wanted, branch, card.variant)
    raise missing_error(name, wanted, missing, how=_how(wanted, branch))


def locate_adapter(
    name: str, card: ModelCard, adapter: str, checkpoint: Checkpoint, download: bool
) -> Path | None:
    """The motion adapter's folder, or ``None`` if the checkpoint holds it or needs none.

    Raises:
        ConfigError: If it is needed and not here.
    """
    if adapter and not card.adapter:
        raise ConfigError(f"Expected no `adapter` for generator `{name}`, but got {adapter!r}.")
    if not card.adapter or (not adapter and (checkpoint.folder / "motion_adapter").is_dir()):
        return None
    wanted = adapter or card.adapter
    found = find_checkpoint(wanted)
    if found and (found.folder / "config.json").is_file():
        return found.folder
    if download and not is_local(wanted):
        return download_checkpoint(wanted, "", "").folder
    missing = expected_files({"motion_adapter": card.components.get("motion_adapter", 0.0)})
    raise missing_error(name, wanted, missing, how=_how(wanted, ""))


def _how(model: str, revision: str) -> str:
    if is_local(model):
        return "Complete the folder, or name another with `model=/path`."
    branch = f" --revision {revision}" if revision else ""
    return (
        f"Get them with `hf download {model}{branch}`, add `download=true`, or name a folder with "
        "`model=/path`."
    )


def download_checkpoint(model: str, revision: str, variant: str) -> Checkpoint:
    """Download a hub repository into the hub cache, weights as safetensors where it has them."""
    from diffusers import DiffusionPipeline

    folder = Path(
        DiffusionPipeline.download(model, revision=revision or None, variant=variant or None)
    )
    return Checkpoint(folder, folder.name)
