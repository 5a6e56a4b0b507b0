"""Replies that were paid for, on disk the moment they arrive.

A batch of a hosted refiner is many requests, and the harness hears of it when the last is there. A
process killed before that would pay for the others again, so each reply is appended to a file in
the cache folder at once. The bytes are handed to the operating system with one write per line: they
survive the death of the process, if not a power cut, and cost no more than microseconds.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from pathlib import Path

from phybench.services.chat_client import Reply


class PaidReplies:
    """Replies by key, in one file that several processes may append to.

    Args:
        path: The file; made with its folder on the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = _read(path)

    def get(self, key: str) -> Reply | None:
        """The reply of a key, if it was paid for before."""
        return self._known.get(key)

    def add(self, key: str, reply: Reply) -> None:
        """Remember a reply; safe to call from several threads.

        Raises:
            OSError: If the disk refuses the write.
        """
        line = json.dumps({"key": key, "reply": asdict(reply)}) + "\n"
        with self._lock:
            self._known[key] = reply
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)


def _read(path: Path) -> dict[str, Reply]:
    if not path.is_file():
        return {}
    known = {}
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            known[str(row["key"])] = Reply(**row["reply"])
        except (ValueError, KeyError, TypeError):
            continue  # a line that a power cut tore; its reply is asked for again
    return known
