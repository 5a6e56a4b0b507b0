"""Prompt sets: bundled by name, read from a file, or from the Hugging Face hub."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, MissingExtraError, UnknownNameError
from phybench.machine.digest import text_digest
from phybench.plugins.contracts import Prompt
from phybench.prompts.seeds import text_id

MAX_CHARACTERS = 10_000
"""Longest prompt accepted, in characters. Ours: about twenty times the longest prompt budget of
any generator we know of, so that a longer text is a mistake in the file."""
TEXT_COLUMNS = ("prompt", "caption", "text")
_LONGEST_LABEL, _MOST_GROUPS = 60, 500
"""Ours: what is longer is a text of its own, what has more values is no grouping. VideoPhy-2 has
some 200 actions."""
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt", ".parquet")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Unicode's control characters without tab and line ends, and halves of surrogate pairs."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts in a fixed order.

    Args:
        name: What reports call the set.
        prompts: The prompts; ids and texts are unique.
        sha256: Digest of ids and texts in order.
    """

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str


def bundled_sets() -> dict[str, Path]:
    """The bundled prompt sets by name."""
    folder = Path(str(files("phybench.tabletop"))) / "prompts"
    return {path.stem: path for path in sorted(folder.glob("*.jsonl"))}


def load_prompts(source: str, limit: int | None = None) -> PromptSet:
    """Load a prompt set.

    Args:
        source: A bundled set's name, a csv, tsv, jsonl, txt or parquet file, or ``hf:NAME``.
        limit: Keep only the first ``limit`` prompts, >= 1.

    Raises:
        ConfigError: If the source is unknown, unreadable, empty, or holds an empty, duplicate,
            overlong or control-character prompt; the message gives the row.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"Expected `limit` to be ≥ 1, but got {limit}.")
    name, rows = _rows(source)
    prompts = tuple(_unique(_prompt(number, row, source) for number, row in enumerate(rows, 1)))
    if not prompts:
        raise ConfigError(f"Expected {source!r} to hold prompts, but it is empty.")
    return _prompt_set(name, prompts[:limit])


def prompts_from_texts(texts: Sequence[str], name: str, limit: int | None = None) -> PromptSet:
    """A prompt set of texts that are there already; their ids are digests of them.

    Args:
        texts: The prompts.
        name: What reports call the set.
        limit: Keep only the first ``limit`` prompts, >= 1.

    Raises:
        ConfigError: If a text cannot be a prompt, or one stands there twice.
    """
    kept = tuple(
        Prompt(text_id(text), check_text(text, f"prompt {number} of the {name}"))
        for number, text in enumerate(texts[:limit], 1)
    )
    return _prompt_set(name, tuple(_unique(kept)))


def _prompt_set(name: str, prompts: tuple[Prompt, ...]) -> PromptSet:
    digest = text_digest(*(part for prompt in prompts for part in (prompt.id, prompt.text)))
    return PromptSet(name, prompts, digest)


def group_columns(prompts: Sequence[Prompt]) -> dict[str, list[str]]:
    """The columns of a prompt file that sort its prompts into groups, as ``action`` does.

    A column is one if its values are short, there are at least two of them and some prompts share
    one.

    Returns:
        For each such column its value for every prompt, empty where a prompt has none.
    """
    names = dict.fromkeys(name for prompt in prompts for name in prompt.meta)
    columns = {name: [prompt.meta.get(name, "") for prompt in prompts] for name in names}
    return {name: values for name, values in columns.items() if _groups(values)}


def _groups(values: Sequence[str]) -> bool:
    given = [value for value in values if value]
    distinct = set(given)
    return 2 <= len(distinct) <= min(_MOST_GROUPS, len(given) - 1) and (
        max(map(len, distinct)) <= _LONGEST_LABEL
    )


def _rows(source: str) -> tuple[str, Iterator[Mapping[str, Any]]]:
    bundled = bundled_sets()
    if source in bundled:
        return source, read_rows(bundled[source])
    if source.startswith("hf:"):
        return source, _hub_rows(source.removeprefix("hf:"))
    path = Path(source)
    if not path.exists():
        if path.suffix in _SUFFIXES or "/" in source:
            raise ConfigError(f"Expected a prompt file at {source!r}, but there is none.")
        raise UnknownNameError("prompt set or file", source, bundled)
    return path.stem, read_rows(path)


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a table file, as mappings from column to value.

    A byte-order mark and any line ending are accepted; ``txt`` gives one row per non-empty line.

    Raises:
        ConfigError: If the file cannot be read as what its suffix says.
    """
    readers: dict[str, Callable[[Iterable[str]], Iterator[Mapping[str, Any]]]] = {
        ".csv": partial(_csv_rows, delimiter=","),
        ".tsv": partial(_csv_rows, delimiter="\t"),
        ".jsonl": _jsonl_rows,
        ".txt": _txt_rows,
    }
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    if path.suffix not in readers:
        raise ConfigError(
            f"Expected a file that ends in one of {', '.join(_SUFFIXES)}, but got {path.name!r}."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from readers[path.suffix](file)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ConfigError(f"Cannot read {path.name!r}: {error}.") from error


def _csv_rows(file: Iterable[str], delimiter: str) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    for row in reader:
        if None in row:
            raise ConfigError(
                f"Expected {len(reader.fieldnames or ())} cells in line {reader.line_num}, "
                "but got more. Put quotes around texts that hold the delimiter."
            )
        yield row


def _txt_rows(file: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in file:
        if line.strip():
            yield {"prompt": line.strip()}


def _jsonl_rows(file: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ConfigError(f"Expected an object in line {number}, but got {line[:40]!r}.")
            yield row


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Reading parquet files", "pyarrow", "parquet") from error
    try:
        yield from pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"Cannot read {path.name!r}: {error}.") from error


def _hub_rows(name: str) -> Iterator[Mapping[str, Any]]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"Prompt set `hf:{name}`", "datasets", "hub") from error
    repository, _, split = name.partition("@")
    try:
        table = datasets.load_dataset(repository, split=split or None)
    except (OSError, ValueError, ConnectionError) as error:
        raise ConfigError(
            f"Cannot load `hf:{name}` from the hub: {error}. Without a network, give a file."
        ) from error
    if isinstance(table, dict):
        if len(table) > 1:
            raise ConfigError(
                f"Expected one split in `hf:{name}`, but it has {', '.join(table)}. "
                f"Choose one: hf:{repository}@{next(iter(table))}"
            )
        table = next(iter(table.values()))
    # Several videos per caption are several rows there; a prompt set wants each caption once.
    seen: set[str] = set()
    for row in table:
        text = str(row.get(_text_column(row, name)) or "")
        if text and text not in seen:
            seen.add(text)
            yield row


def _text_column(row: Mapping[str, Any], source: str) -> str:
    for column in TEXT_COLUMNS:
        if column in row:
            return column
    raise ConfigError(
        f"Expected a column named {', '.join(f'`{name}`' for name in TEXT_COLUMNS)} in {source!r}, "
        f"but it has {', '.join(f'`{name}`' for name in row) or 'none'}."
    )


def _prompt(number: int, row: Mapping[str, Any], source: str) -> Prompt:
    column = _text_column(row, source)
    text = row[column]
    where = f"row {number} of {source!r}"
    if text is None or (isinstance(text, float) and math.isnan(text)):
        raise ConfigError(f"Expected a prompt in {where}, but the cell is missing.")
    text = check_text(str(text), where)
    identifier = str(row.get("id") or text_id(text))
    meta = {
        key: str(value)
        for key, value in row.items()
        if key not in {column, "id", ""} and value is not None
    }
    return Prompt(identifier, text, meta)


def check_text(text: str, where: str) -> str:
    """Return a prompt's text if it can be one.

    Newlines, tabs, emoji and any script are fine; they never become a path, a shell word or
    markup.

    Raises:
        ConfigError: If the text is empty, longer than :data:`MAX_CHARACTERS`, holds control
            characters or half of a surrogate pair.
    """
    if not text.strip():
        raise ConfigError(f"Expected a prompt in {where}, but it is empty.")
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            f"Expected the prompt in {where} to have at most {MAX_CHARACTERS} characters, "
            f"but got {len(text)}. Shorten it, or check the file's quotes."
        )
    found = _CONTROLS.search(text)
    if found:
        raise ConfigError(
            f"Expected no control characters in {where}, but got {found[0]!r}. Remove it."
        )
    return text


def _unique(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    texts: dict[str, int] = {}
    ids: dict[str, int] = {}
    for number, prompt in enumerate(prompts, 1):
        for what, seen, value in (("text", texts, prompt.text), ("id", ids, prompt.id)):
            first = seen.setdefault(value, number)
            if first != number:
                raise ConfigError(
                    f"Expected every prompt once, but rows {first} and {number} have the same "
                    f"{what}: {value[:60]!r}. Remove one of them."
                )
        yield prompt
