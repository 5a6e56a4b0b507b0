"""One folder that remembers every finished unit of work, across runs and processes.

Results lie in an SQLite file (write-ahead log: readers and writers of several processes do not
block each other, and a killed writer leaves no torn row), clips as files beside it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from phybench.errors import ConfigError, StorageError
from phybench.plugins.contracts import Clip
from phybench.units.codec import Value, from_json, to_json
from phybench.video.clip_store import TEMPORARY

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS units (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS timings (plugin TEXT PRIMARY KEY, units INTEGER, seconds REAL)",
)
_ADD_TIMING = """
INSERT INTO timings VALUES (?, ?, ?)
ON CONFLICT (plugin)
DO UPDATE SET units = units + excluded.units, seconds = seconds + excluded.seconds
"""
_BUSY_SECONDS = 30.0
_STALE_S = 24 * 3600


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written more than a day ago."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if time.time() - path.stat().st_mtime > _STALE_S:
            path.unlink(missing_ok=True)


class Cache:
    """Finished units by content hash.

    Args:
        folder: Where to keep them; made if absent.

    Raises:
        ConfigError: If the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            (self.folder / "clips").mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self.folder / "units.sqlite", timeout=_BUSY_SECONDS, isolation_level=None
            )
            # Two processes that turn a new file's log on at once would block each other, and SQLite
            # then gives up without waiting.
            with FileLock(self.folder / "units.lock", timeout=_BUSY_SECONDS):
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=NORMAL")
                for statement in _SCHEMA:
                    self._database.execute(statement)
            _sweep(self.folder / "clips" / TEMPORARY)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"Cannot use the cache folder {str(folder)!r}: {error}. "
                "Name another with PHYBENCH_CACHE."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def get(self, key: str) -> Value | None:
        """The unit's result, or ``None`` if it is not there or its clip is gone."""
        row = self._database.execute("SELECT value FROM units WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value = from_json(json.loads(row[0]))
        if isinstance(value, Clip) and value.path is not None and not value.path.is_file():
            return None
        return value

    def mean_seconds(self, plugin: str) -> float | None:
        """Seconds per unit of a plugin (by fingerprint) on one worker, if it was ever timed."""
        query = "SELECT seconds / units FROM timings WHERE plugin = ? AND units > 0"
        row = self._database.execute(query, (plugin,)).fetchone()
        return None if row is None else float(row[0])

    def put(
        self,
        units: Iterable[tuple[str, Value]],
        timings: Mapping[str, tuple[int, float]] | None = None,
    ) -> None:
        """Remember finished units, all or none; a killed process loses none of them.

        Args:
            units: Keys and results.
            timings: By plugin fingerprint, how many units were done in how many seconds.

        Raises:
            StorageError: If the disk is full or refuses the write.
        """
        rows = [(key, json.dumps(to_json(value))) for key, value in units]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO units VALUES (?, ?)", rows)
            for plugin, (count, seconds) in (timings or {}).items():
                self._database.execute(_ADD_TIMING, (plugin, count, seconds))
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StorageError(
                f"Cannot write to the cache {str(self.folder)!r}: {error}."
            ) from error
