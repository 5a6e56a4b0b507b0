"""Model folders: found without a network, and identified by what is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest, text_digest
from phybench.machine.files import read_json
from phybench.machine.folders import default_folder


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checkpoint on this machine.

    Args:
        path: Its folder.
        name: How the user named it: a hub id, or the folder's own name.
        revision: The hub's commit, or ``sha256:`` and a digest of the folder's files.
    """

    path: Path
    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a checkpoint lies, before anything in it is read.

    Args:
        folder: Its folder.
        revision: Commit of the hub snapshot, or ``local``.
    """

    folder: Path
    revision: str


def is_local(model: str) -> bool:
    """Whether a model is named by its folder or file rather than by a hub id (``owner/name``)."""
    return model.startswith((".", "/", "~")) or Path(model).exists() or model.count("/") != 1


def hub_folder(repo: str) -> Path:
    """Where the Hugging Face libraries keep a repository's downloads (their own rule)."""
    cache = os.environ.get("HF_HUB_CACHE")
    if not cache:
        base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
        cache = str(Path(os.environ.get("HF_HOME", base)) / "hub")
    return Path(cache).expanduser() / f"models--{repo.replace('/', '--')}"


def places(model: str) -> list[Path]:
    """The folders in which a model is looked for, the first one first.

    A hub id is looked for below ``PHYBENCH_CHECKPOINTS``, with and without its owner, and in the
    Hugging Face cache.
    """
    if is_local(model):
        return [Path(model).expanduser()]
    root = os.environ.get("PHYBENCH_CHECKPOINTS")
    names = (model, model.partition("/")[2]) if root else ()
    return [*(Path(root or "").expanduser() / name for name in names), hub_folder(model)]


def find_checkpoint(model: str, revision: str = "") -> Checkpoint | None:
    """Look for a checkpoint on this machine, without the network.

    Args:
        model: A folder, or a hub id.
        revision: Branch, tag or commit of a hub repository; empty for ``main``.

    Returns:
        The checkpoint, or ``None`` if there is none.
    """
    *folders, last = places(model)
    if is_local(model):
        return Checkpoint(last, "local") if last.is_dir() else None
    for folder in folders:
        if folder.is_dir() and not revision:
            return Checkpoint(folder, "local")
    name = revision or "main"
    reference = last / "refs" / name
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else name
    snapshot = last / "snapshots" / commit
    return Checkpoint(snapshot, commit) if snapshot.is_dir() else None


def find_model(model: str, revision: str = "", *, config: str = "config.json") -> ModelFolder:
    """Find a checkpoint: a folder, or a hub id whose files were downloaded before.

    Args:
        model: Folder, or hub id such as ``Qwen/Qwen2.5-7B-Instruct``.
        revision: Branch, tag or commit of the hub id; empty for ``main``.
        config: File that every checkpoint of this kind has.

    Raises:
        ConfigError: If it is not on this machine; the message names the download command.
    """
    found = find_checkpoint(model, revision)
    if found is None and is_local(model):
        raise ConfigError(
            f"Expected a model folder or a hub id (`owner/name`), but {model!r} is neither."
        )
    if found is None:
        raise ConfigError(_not_downloaded(model, revision))
    if found.revision == "local":
        return _local_folder(found.folder, revision, config)
    if not (found.folder / config).is_file():
        raise ConfigError(_not_downloaded(model, revision))
    return ModelFolder(found.folder, model, found.revision)


def _local_folder(folder: Path, revision: str, config: str) -> ModelFolder:
    if revision:
        raise ConfigError(
            f"Expected no `revision` for the folder {str(folder)!r}, but got {revision!r}: "
            "a revision names a state of a hub repository."
        )
    if not (folder / config).is_file():
        raise ConfigError(f"Expected {str(folder)!r} to hold a `{config}`, but it has none.")
    return ModelFolder(folder.resolve(), folder.resolve().name, f"sha256:{folder_digest(folder)}")


def _not_downloaded(model: str, revision: str) -> str:
    command = f"hf download {model}" + (f" --revision {revision}" if revision else "")
    looked = " and ".join(str(place) for place in places(model))
    return (
        f"Expected model `{model}` to be on this machine, but it is neither a folder nor in "
        f"{looked}. Run: {command}"
    )


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over names and bytes of the files directly in a folder.

    Hidden files and model cards (``*.md``) are left out: they change no output. Checkpoints are
    flat; sub-folders hold training states. Reading 15 GB takes a while, so each large file's digest
    is remembered beside the cache under its path, size and time of change.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".md"
    )
    return text_digest(*(part for path in files for part in (path.name, _digest(path.resolve()))))


_LARGE = 2**24


def _digest(path: Path) -> str:
    stat = path.stat()
    if stat.st_size < _LARGE:
        return file_digest(path)
    name = text_digest(str(path), str(stat.st_size), str(stat.st_mtime_ns))
    note = default_folder() / "digests" / name
    if note.is_file():
        return note.read_text(encoding="ascii")
    digest = file_digest(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(f".{digest[:12]}")
    draft.write_text(digest, encoding="ascii")
    draft.replace(note)
    return digest


def has_chat_template(folder: Path) -> bool:
    """Whether a checkpoint's tokenizer brings a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(read_json(config).get("chat_template"))
