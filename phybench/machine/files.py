"""Reading and writing text, JSON and JSON Lines: a file is there whole, or as it was before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, StorageError


def write_text(path: Path, text: str) -> None:
    """Write a whole text file: it is there complete, or as it was before.

    Raises:
        StorageError: If the disk is full or refuses the write.
    """
    try:
        _write_atomically(path, text)
    except OSError as error:
        raise StorageError(f"Cannot write {str(path)!r}: {error}.") from error


def check_target(path: Path) -> None:
    """Find out before any work that a file cannot be written.

    Raises:
        ConfigError: If it cannot.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"Expected the folder of {str(path)!r} to exist. Make it first.")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"Cannot write {str(path)!r}: it is a folder, or lies in a closed one.")


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of an append-only file; a torn last line is passed over.

    Raises:
        ConfigError: If a line before the last is not JSON: the file was edited or damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ConfigError(
                    f"Expected JSON in line {number} of {str(path)!r}: {error}. The file is "
                    "damaged; move it away and run the same command: finished work is in the cache."
                ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A whole JSON file.

    Raises:
        ConfigError: If it is absent or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot read {str(path)!r}: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"Expected {str(path)!r} to hold a JSON object, but it does not.")
    return value
