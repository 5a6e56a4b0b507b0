"""A run's folder: append-only rows while it runs, whole files when it is done.

Rows are handed to the operating system at once, so that a killed process loses none that was
written, and flushed to the disk every second and at the end, so that a power cut loses no more than
that. A torn last line is cut off when the file is next opened. Of several rows for one item the
last counts.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from filelock import FileLock, Timeout

from phybench.errors import ConfigError, RunLockedError, StorageError
from phybench.machine.files import write_text

SCHEMA_VERSION = 1
ITEMS = "items.jsonl"
SCORES = "scores.jsonl"
RUN = "run.json"
RESULTS = "results.json"


class RunWriter:
    """The only writer of a run's folder.

    Args:
        folder: The run's folder; made if absent.

    Raises:
        ConfigError: If the folder cannot be written.
        RunLockedError: If another process is writing to it; the message says which.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock")
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise RunLockedError(
                f"Run {str(folder)!r} is being written by {_holder(folder)}. Wait for it, or name "
                "another folder with -o."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"Cannot write to the run folder {str(folder)!r}: {error}."
            ) from error
        write_text(folder / ".holder", _own_name())
        self._files = {name: _open_for_append(folder / name) for name in (ITEMS, SCORES)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        self._lock.release()

    def append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows to a file.

        Raises:
            StorageError: If the disk is full or refuses the write; nothing of the group remains.
        """
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        if not data:
            return
        file = self._files[name]
        end = file.tell()
        try:
            _write_all(file, data)
        except OSError as error:
            file.truncate(end)
            file.seek(end)
            raise StorageError(f"Cannot write {str(self.folder / name)!r}: {error}.") from error

    def sync(self) -> None:
        """Flush all rows to the disk.

        Raises:
            StorageError: If the disk refuses.
        """
        try:
            for file in self._files.values():
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"Cannot flush {str(self.folder)!r}: {error}.") from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a whole file atomically.

        Raises:
            StorageError: If the disk is full or refuses the write.
        """
        write_text(self.folder / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write_all(file: IO[bytes], data: bytes) -> None:
    """An unbuffered write may take only part of the data when the disk runs full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _open_for_append(path: Path) -> IO[bytes]:
    file = path.open("r+b" if path.exists() else "w+b", buffering=0)
    file.truncate(_end_of_last_line(file))
    file.seek(0, os.SEEK_END)
    return file


def _end_of_last_line(file: IO[bytes], block: int = 1 << 16) -> int:
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _own_name() -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"process {os.getpid()} on {socket.gethostname()} since {now}"


def _holder(folder: Path) -> str:
    try:
        return (folder / ".holder").read_text(encoding="utf-8")
    except OSError:
        return "another process"
