"""Append-only records of training that a resumed run continues without repeating steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phybench.machine.files import read_jsonl, write_text


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows and hand them to the operating system at once."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(data)


def keep_rows(path: Path, keep: Callable[[Mapping[str, Any]], bool]) -> None:
    """Forget the rows that a resumed run will write again."""
    if path.exists():
        rows = [row for row in read_jsonl(path) if keep(row)]
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


class RewardLog:
    """Every sample of every rollout: raw and weighted parts, and why there is no reward.

    Args:
        path: The jsonl file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def resume(self, step: int) -> None:
        """Continue after the checkpoint of a step: its evaluation was done before it was saved."""
        keep_rows(self._path, lambda row: row["step"] < step + (row["split"] == "eval"))

    def write(
        self,
        split: str,
        step: int,
        weight: float,
        prompt_ids: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Record a rollout: one row per sample, in order."""
        head = {"step": step, "split": split, "w_sa": weight}
        append_rows(
            self._path,
            [
                {**head, "prompt_id": name, **row}
                for name, row in zip(prompt_ids, rows, strict=True)
            ],
        )
