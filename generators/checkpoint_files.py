"""Finding a checkpoint on this machine, naming what is missing, and telling weights apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest, text_digest
from phybench.machine.files import read_json
from phybench.machine.model_folders import find_checkpoint, is_local, places

WEIGHT_SUFFIXES = (".safetensors", ".bin")
_FILE_SUFFIXES = {".ckpt", ".safetensors", ".pt", ".pth"}
_WHOLE = 64 * 2**20
_SAMPLES, _SAMPLE = 16, 2**20
_MOVED_BY = "HF_HOME, HF_HUB_CACHE or PHYBENCH_CHECKPOINTS move it"
_NEAREST = "Nothing to download here? `phybench run -g tabletop` is the nearest that runs without."


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file or folder of a checkpoint that is not there.

    Args:
        name: Path below the checkpoint folder.
        size_gb: Its size in GB (1e9 bytes), if known.
    """

    name: str
    size_gb: float | None = None


def require_files(
    generator: str, model: str, files: Sequence[MissingFile], *, download: bool
) -> Path:
    """The folder that holds certain files, downloaded only on an explicit wish.

    Args:
        generator: Name of the generator.
        model: A folder, or a hub id.
        files: What must be there; a name may be a pattern.
        download: Whether a hub repository may be downloaded.

    Raises:
        ConfigError: If files are missing, with their names and sizes.
    """
    found = find_checkpoint(model)
    missing = [file for file in files if found is None or not any(found.folder.glob(file.name))]
    if found and not missing:
        return found.folder
    if download and not is_local(model):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, allow_patterns=[file.name for file in files]))
    how = "Complete the folder, or name another."
    if not is_local(model):
        names = " ".join(f"--include '{file.name}'" for file in missing)
        how = f"Get them with `hf download {model} {names}`, add `download=true`, or name a folder."
    raise missing_error(generator, model, missing, how=how)


def find_weights(generator: str, model: str, weights: MissingFile, *, download: bool) -> Path:
    """The weight file that the option ``model`` names: the file, its folder, or its repository.

    Raises:
        ConfigError: If it is not here.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return path
    if path.suffix in _FILE_SUFFIXES:
        raise ConfigError(f"Expected `model` to be a file or folder, but {path} does not exist.")
    return require_files(generator, model, [weights], download=download) / weights.name


def missing_files(folder: Path, components: Mapping[str, float]) -> list[MissingFile]:
    """What a folder in diffusers layout lacks.

    Args:
        folder: The checkpoint.
        components: Expected sub-folders and their size in GB; used for sizes, and as the list of
            what to expect when there is no ``model_index.json``.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        return [MissingFile("model_index.json"), *expected_files(components)]
    missing = []
    for name, classes in read_json(index).items():
        if isinstance(classes, list) and classes and classes[0] is not None:
            missing += _missing_of_component(folder / name, components.get(name))
    return missing


def expected_files(components: Mapping[str, float]) -> list[MissingFile]:
    """All component folders of a checkpoint, as missing."""
    return [MissingFile(f"{name}/", size or None) for name, size in components.items()]


def _missing_of_component(folder: Path, size_gb: float | None) -> list[MissingFile]:
    if not folder.is_dir():
        return [MissingFile(f"{folder.name}/", size_gb)]
    if not (folder / "config.json").is_file():
        return [] if any(folder.iterdir()) else [MissingFile(f"{folder.name}/", size_gb)]
    shards = {shard for index in folder.glob("*.index.json") for shard in _shards(index)}
    absent = sorted(shard for shard in shards if not (folder / shard).is_file())
    if absent:
        return [MissingFile(f"{folder.name}/{shard}") for shard in absent]
    if not shards and not any(path.suffix in WEIGHT_SUFFIXES for path in folder.iterdir()):
        return [MissingFile(f"{folder.name}/*.safetensors", size_gb)]
    return []


def _shards(index: Path) -> set[str]:
    return set(read_json(index).get("weight_map", {}).values())


def missing_error(
    generator: str, model: str, missing: Sequence[MissingFile], *, how: str
) -> ConfigError:
    """The error for a checkpoint that is not (wholly) here.

    Args:
        generator: Name of the generator.
        model: Folder or hub id.
        missing: What is not there.
        how: How to get it, one sentence.
    """
    known = [file.size_gb for file in missing if file.size_gb is not None]
    total = f" (about {sum(known):.1f} GB)" if known else ""
    looked = " and ".join(str(place) for place in places(model))
    moved = "" if is_local(model) else f" ({_MOVED_BY})"
    lines = [
        f"Expected the files of `{model}` for generator `{generator}`, but these are missing"
        f"{total}:",
        *(f"  {file.name}{_size(file)}" for file in missing),
        f"Looked in: {looked}{moved}",
        how,
        _NEAREST,
    ]
    return ConfigError("\n".join(lines))


def _size(file: MissingFile) -> str:
    return "" if file.size_gb is None else f"  {file.size_gb:.2f} GB"


@cache
def checkpoint_digest(folder: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Tells checkpoints apart by content: SHA-256 over all files' names and digests.

    Args:
        folder: The checkpoint.
        suffixes: File types to look at; all if empty.

    Files above 64 MiB enter with their size and 16 evenly spaced blocks of 1 MiB, so that 60 GB of
    weights cost a fraction of a second; training changes all of a tensor file, not one block.
    """
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    counted = [
        name
        for name in names
        if not _is_decoration(name) and (not suffixes or name.suffix in suffixes)
    ]
    return text_digest(
        *(part for name in counted for part in (str(name), sampled_digest(folder / name)))
    )


def _is_decoration(name: Path) -> bool:
    return name.suffix == ".md" or any(part.startswith(".") for part in name.parts)


@cache
def sampled_digest(path: Path) -> str:
    """Digest of a file; of samples if it is large (see :func:`checkpoint_digest`)."""
    size = path.stat().st_size
    if size <= _WHOLE:
        return file_digest(path)
    digest = hashlib.sha256(f"sampled:{size}:".encode())
    with path.open("rb") as file:
        for index in range(_SAMPLES):
            file.seek(index * (size - _SAMPLE) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
