"""A record of paid jobs, written before money is spent, so that no clip is paid for twice.

One JSON line per change of state, flushed to disk before the next step::

    submitting, then one of
        submitted  (a job is made), then done or failed
        rejected   (the service made no job)
        ambiguous  (nobody knows whether it did)

A key that is found in ``submitting`` when a process starts was cut off between the request and its
answer: that is ambiguous too. None of the services here takes an idempotency key or lists its jobs,
so only the user can look; nothing is sent again without a word from them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from phybench.errors import StorageError

State = Literal["submitting", "submitted", "rejected", "ambiguous", "done", "failed"]
_PAID: frozenset[State] = frozenset({"submitting", "submitted", "ambiguous", "done", "failed"})


@dataclass(frozen=True, slots=True)
class Entry:
    """The last known state of one clip's job.

    Args:
        state: Where it stands.
        job: What the service said of the job; enough to ask for it again.
        usd: What it cost or is estimated to cost, or ``None`` if unknown.
        failure: Kind and message of a final failure.
    """

    state: State
    job: Mapping[str, Any] = field(default_factory=dict)
    usd: float | None = None
    failure: Mapping[str, Any] = field(default_factory=dict)


class CeilingError(Exception):
    """A job that would cost more than is left.

    Args:
        spent: What the recorded jobs cost, in US dollars.
    """

    def __init__(self, spent: float) -> None:
        super().__init__(f"${spent:.2f} are spent")
        self.spent = spent


class Ledger:
    """The paid jobs of one service, shared by all processes that use the same file.

    Args:
        path: The file; made with its folder if absent.

    Raises:
        StorageError: If the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot make the ledger's folder {path.parent}: {error}."
            ) from error
        self._processes = FileLock(f"{path}.lock")

    def claim(
        self, key: str, usd: float | None, *, again: bool, max_usd: float | None = None
    ) -> Entry | None:
        """Record that a job is about to be created, unless there may be one already.

        Args:
            key: Content hash of the clip.
            usd: Estimated cost.
            again: Whether an ambiguous key may be submitted once more.
            max_usd: Most that all jobs may cost.

        Returns:
            ``None`` if the caller may create the job now; else what is recorded of it.

        Raises:
            CeilingError: If the job would pass `max_usd`.
        """
        with self._threads, self._processes:
            entries = self._read()
            found = entries.get(key)
            if found and not _may_create(found, again=again):
                return found
            spent = _spent(entries)
            if max_usd is not None and spent + (usd or 0.0) > max_usd:
                raise CeilingError(spent)
            self._append(key, Entry("submitting", usd=usd))
            return None

    def record(self, key: str, entry: Entry) -> None:
        """Append a state and flush it to disk."""
        with self._threads, self._processes:
            self._append(key, entry)

    def _read(self) -> dict[str, Entry]:
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError(f"Cannot read the ledger {self._path}: {error}.") from error
        entries: dict[str, Entry] = {}
        for line in lines:
            # A torn line is one whose writer died before its step began: it says nothing.
            if line.endswith(b"\n") and (found := _parse(line)):
                key, entry = found
                entries[key] = entry
        return entries

    def _append(self, key: str, entry: Entry) -> None:
        line = {
            "key": key,
            "state": entry.state,
            "job": dict(entry.job),
            "usd": entry.usd,
            "failure": dict(entry.failure),
        }
        try:
            with self._path.open("ab") as file:
                if file.tell() and not _ends_with_newline(self._path):
                    file.write(b"\n")
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"Cannot write the ledger {self._path}: {error}.") from error


def _spent(entries: Mapping[str, Entry]) -> float:
    """Known costs of all jobs that were or may have been created."""
    return sum(entry.usd or 0.0 for entry in entries.values() if entry.state in _PAID)


def _may_create(entry: Entry, *, again: bool) -> bool:
    if entry.state == "rejected":
        return True
    if entry.state in {"submitting", "ambiguous"}:
        return again
    return entry.state == "failed" and bool(entry.failure.get("retryable"))


def _parse(line: bytes) -> tuple[str, Entry] | None:
    try:
        data = json.loads(line)
        key = str(data.pop("key"))
        return key, Entry(**data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
