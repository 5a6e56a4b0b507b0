"""The files of a judge's checkpoint: where they are, what is missing, what they are."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest, text_digest
from phybench.machine.files import read_json
from phybench.machine.model_folders import find_checkpoint, folder_digest, places

from .config import OwlConfig, read_owl_config

_CONFIG, _TOKENIZER = "config.json", "tokenizer.model"
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Published:
    """A published checkpoint, for messages.

    Args:
        repo: Its id on the Hugging Face hub.
        size_gb: Size of its weights in GB (1e9 bytes).
        licence: Licence as its owners state it, with the condition of what it derives from.
    """

    repo: str
    size_gb: float
    licence: str


@dataclass(frozen=True, slots=True)
class OwlFiles:
    """A complete checkpoint folder.

    Args:
        folder: Where it lies.
        revision: The hub's commit, or ``local``.
        config: The model's sizes.
        tokenizer: The sentencepiece model.
        weights: The weight files, in order.
    """

    folder: Path
    revision: str
    config: OwlConfig
    tokenizer: Path
    weights: tuple[Path, ...]

    def digest(self) -> str:
        """SHA-256 (hex) that tells checkpoints apart by content.

        Torch's zip files hold a CRC-32 of every tensor, so 14 GB of them need not be read.
        """
        parts = [file_digest(self.folder / _CONFIG), file_digest(self.tokenizer)]
        if not all(zipfile.is_zipfile(path) for path in self.weights):
            return text_digest(*parts, folder_digest(self.folder))
        for path in self.weights:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
            parts += [f"{entry.filename}:{entry.file_size}:{entry.CRC}" for entry in entries]
        return text_digest(*parts)

    @property
    def weights_gib(self) -> float:
        """Size of the weight files in GiB."""
        return sum(path.stat().st_size for path in self.weights) / 2**30


def find_files(model: str, published: Published) -> OwlFiles:
    """Find a checkpoint without the network.

    Args:
        model: A folder, or a hub id that is looked for below ``PHYBENCH_CHECKPOINTS`` and in the
            Hugging Face cache.
        published: What is known of the public checkpoint.

    Raises:
        ConfigError: If files are missing (named with size and licence) or the configuration
            describes another kind of model.
    """
    found = find_checkpoint(model)
    if found is None:
        wanted = [_CONFIG, _TOKENIZER, _INDEXES[-1] + " or a single file"]
        raise _missing(published, model, wanted, places(model))
    folder = found.folder
    missing = [name for name in (_CONFIG, _TOKENIZER) if not (folder / name).is_file()]
    weights, absent = _weights(folder)
    if missing or absent:
        raise _missing(published, model, [*missing, *absent], [folder])
    config = read_owl_config(folder / _CONFIG)
    return OwlFiles(folder, found.revision, config, folder / _TOKENIZER, weights)


def _weights(folder: Path) -> tuple[tuple[Path, ...], list[str]]:
    """The weight files of either public layout, and the names of those that are absent."""
    for name in _INDEXES:
        if (folder / name).is_file():
            shards = sorted(set(_weight_map(folder / name).values()))
            absent = [shard for shard in shards if not (folder / shard).is_file()]
            return tuple(folder / shard for shard in shards), absent
    for name in _SINGLES:
        if (folder / name).is_file():
            return (folder / name,), []
    return (), [f"{_INDEXES[1]} with its shards, or {_SINGLES[1]}"]


def _weight_map(index: Path) -> dict[str, str]:
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise ConfigError(f"Expected {index} to have a `weight_map`, but it has none.")
    for name in mapping.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise ConfigError(
                f"Expected {index} to name files of its own folder, but got {json.dumps(name)}."
            )
    return mapping


def _missing(
    published: Published, model: str, missing: list[str], looked: list[Path]
) -> ConfigError:
    places = " and ".join(str(path) for path in looked)
    return ConfigError(
        f"Expected the checkpoint `{model}`, but missing: {', '.join(missing)} "
        f"(looked in {places}). "
        f"The public weights are {published.size_gb:.1f} GB; licence: {published.licence}. "
        f"Run: hf download {published.repo}; or give `model=FOLDER`."
    )
