"""Tables of clips that users bring: which column is the clip, which the text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.prompts.prompt_sets import read_rows

CLIP_COLUMNS = ("videopath", "video_path", "path", "video", "video_url", "clip")
"""Names seen in the field for a clip's path or url (VideoPhy's is ``videopath``)."""
PROMPT_COLUMNS = ("prompt", "caption", "text")
MODEL_COLUMNS = ("model", "model_name", "generator", "source")
_LISTED = 10


def read_table(path: Path) -> list[dict[str, Any]]:
    """All rows of a csv, tsv, jsonl or parquet file.

    Raises:
        ConfigError: If the file is absent, unreadable or empty.
    """
    if not path.is_file():
        raise ConfigError(f"Expected a table at {str(path)!r}, but there is no such file.")
    rows = [dict(row) for row in read_rows(path)]
    if not rows:
        raise ConfigError(f"Expected rows in {str(path)!r}, but it is empty.")
    return rows


def column(rows: Sequence[Mapping[str, Any]], names: Sequence[str], path: Path) -> str:
    """The first of several column names that the table has.

    Raises:
        ConfigError: If it has none of them.
    """
    found = optional_column(rows, names)
    if found is None:
        wanted = " or ".join(f"`{name}`" for name in names)
        there = ", ".join(f"`{name}`" for name in rows[0])
        raise ConfigError(f"Expected a column {wanted} in {str(path)!r}, but it has {there}.")
    return found


def optional_column(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | None:
    """The first of several column names that the table has, or ``None``."""
    return next((name for name in names if name in rows[0]), None)


def cell(row: Mapping[str, Any], name: str, number: int, path: Path) -> str:
    """A cell's text.

    Raises:
        ConfigError: If the cell is empty or missing.
    """
    value = row.get(name)
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if missing or not str(value).strip():
        raise ConfigError(f"Expected `{name}` in row {number} of {str(path)!r}, but it is empty.")
    return str(value)


def file_name(path: str) -> str:
    """The last part of a path or url; far faster than :class:`pathlib.Path`."""
    return path.rsplit("/", 1)[-1]


def listed(problems: Sequence[str]) -> list[str]:
    """At most ten of many problems, and how many more there are."""
    rest = len(problems) - _LISTED
    return [*problems[:_LISTED], *([f"… and {rest} more."] if rest > 0 else [])]
