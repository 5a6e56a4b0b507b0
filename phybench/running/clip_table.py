"""Judging a table of clips without a run around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.planning.config import specs
from phybench.plugins.contracts import Clip, Failure, JudgeRequest, Score, VideoFile
from phybench.plugins.opened import Asked, Opened
from phybench.prompts.file_match import match_files
from phybench.prompts.tables import (
    CLIP_COLUMNS,
    PROMPT_COLUMNS,
    cell,
    column,
    optional_column,
    read_table,
)
from phybench.publish.text import csv_text
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.keys import fingerprint, instrument, score_key, view_key
from phybench.units.unit import Unit
from phybench.video.clip_store import store_clip
from phybench.video.common_view import View
from phybench.video.view_maker import shown_to_judges
from phybench.workers.executor import Executor
from phybench.workers.opening import open_alone, open_plugin, open_viewer
from phybench.workers.queue import run_all

RESULT_COLUMNS = ("judge", "sa", "pc", "joint", "status", "reply")
_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".m4v")


@dataclass(frozen=True, slots=True)
class ClipTable:
    """Clips to judge.

    Args:
        columns: The input's columns.
        rows: The input's rows.
        requests: One judge request per row, or the failure to read its clip.
        captions: Whether the rows have prompts; without them SA means nothing and is left out.
        remark: What people should know of how the clips were found; empty if nothing.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    requests: tuple[JudgeRequest | Failure, ...]
    captions: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Judged clips: one row per clip and judge."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def failed(self) -> int:
        """Number of judgements that failed."""
        return sum(row["status"] == "failed" for row in self.rows)

    def counts(self) -> dict[str, Counter[str]]:
        """By judge, rows by status."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows:
            found.setdefault(row["judge"], Counter())[row["status"]] += 1
        return found

    def to_csv(self) -> str:
        """The table as csv, safe to open in a spreadsheet."""
        return csv_text(self.columns, self.rows)


def load_clips(path: Path, root: Path | None = None) -> ClipTable:
    """Read a table of clips, or a folder of clips with a ``.txt`` of the prompt beside each.

    Args:
        path: csv, tsv, jsonl or parquet with ``videopath`` (or ``path``, ``video``, …), ``caption``
            (or ``prompt``) and optionally ``rule``; or a folder.
        root: Folder that relative paths start from; default: the table's folder.

    Raises:
        ConfigError: If the table cannot be read, lacks a column, or names a clip that is not there.
    """
    rows = _folder_rows(path) if path.is_dir() else read_table(path)
    base = root or (path if path.is_dir() else path.parent)
    clip = column(rows, CLIP_COLUMNS, path)
    caption = optional_column(rows, PROMPT_COLUMNS)
    if caption is None and "rule" not in rows[0]:
        column(rows, PROMPT_COLUMNS, path)
    names = [cell(row, clip, number, path) for number, row in enumerate(rows, 1)]
    matches = match_files(names, base)
    missing = [name for name, found in zip(names, matches.found, strict=True) if found is None]
    if missing:
        raise ConfigError(
            f"Expected every clip of {str(path)!r} below {str(base)!r}, but {len(missing)} are not "
            f"there, the first is {missing[0]!r}. Name their folder with --root. A file "
            "directly in it is taken only if no other row has its name."
        )
    requests = tuple(
        _request(base / found, row, clip, cell(row, caption, number, path) if caption else "")
        for number, (row, found) in enumerate(zip(rows, matches.found, strict=True), 1)
        if found is not None
    )
    remark = matches.remark("clips")
    return ClipTable(tuple(rows[0]), tuple(rows), requests, caption is not None, remark)


def _folder_rows(folder: Path) -> list[dict[str, Any]]:
    clips = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not clips:
        raise ConfigError(f"Expected clips in {str(folder)!r}, but it holds none.")
    bare = [clip.name for clip in clips if not clip.with_suffix(".txt").is_file()]
    if bare:
        raise ConfigError(
            f"Expected a .txt with the prompt beside every clip, but {len(bare)} have none, the "
            f"first is {bare[0]!r}. Or give a csv with videopath and caption."
        )
    return [
        {
            "videopath": clip.name,
            "caption": clip.with_suffix(".txt").read_text(encoding="utf-8-sig").strip(),
        }
        for clip in clips
    ]


def _request(path: Path, row: Mapping[str, Any], clip: str, caption: str) -> JudgeRequest | Failure:
    stored = store_clip(VideoFile(path, str(row[clip]), move=False), path.parent, "")
    if not isinstance(stored, Clip):
        return stored
    rule = str(row.get("rule") or "")
    return JudgeRequest(stored, caption, (rule,) if rule else ())


def score_clips(
    table: ClipTable,
    judges: Sequence[Asked | str],
    cache: Cache,
    progress: Callable[[str, int, int], None],
    view: View | None = None,
    executor: Executor | None = None,
) -> ScoreTable:
    """Judge every clip of a table with every judge.

    Args:
        table: The clips.
        judges: SPECs, or judge objects.
        cache: Where known scores are found and new ones kept, batch by batch.
        progress: Called with judge (or ``view``), clips done and clips in all.
        view: How the clips are shown to the judges; then the table has a column ``view``.
        executor: Who calls the judges; default: this process.

    Raises:
        ConfigError: If a judge cannot be constructed.
    """
    opener = open_alone if executor is None else open_plugin
    opened = [opener("judge", judge) for judge in specs(judges)]
    with_rule = "rule" in table.columns
    seen = table if view is None else _viewed(table, view, cache, progress, executor)
    shown = {} if view is None else {"view": str(view)}
    rows = [
        {
            **row,
            "judge": one.info.name,
            **_cells(result, one, table.captions, with_rule),
            **shown,
        }
        for one in opened
        for row, result in zip(
            seen.rows, _judged(seen, one, view, cache, progress, executor), strict=True
        )
    ]
    rule = ("rule_score",) if with_rule else ()
    return ScoreTable((*table.columns, *RESULT_COLUMNS, *rule, *shown), tuple(rows))


def _viewed(
    table: ClipTable,
    view: View,
    cache: Cache,
    progress: Callable[[str, int, int], None],
    executor: Executor | None,
) -> ClipTable:
    """The table with every clip as the view shows it, or the failure to show it."""
    viewer = open_viewer(view)
    digest = fingerprint(viewer)

    def unit_of(request: JudgeRequest) -> Unit:
        return Unit(view_key(digest, request.clip), "view", request.clip)

    def tell(done: int) -> None:
        progress("view", done, len(table.requests))

    made = _done(viewer, digest, table.requests, unit_of, cache, tell, executor)
    seen = [
        _shown(request, found, view) for request, found in zip(table.requests, made, strict=True)
    ]
    return replace(table, requests=tuple(seen))


def _shown(request: JudgeRequest | Failure, made: Value, view: View) -> JudgeRequest | Failure:
    if isinstance(request, JudgeRequest) and isinstance(made, Clip):
        return replace(request, clip=shown_to_judges(request.clip, made, view))
    return made if isinstance(made, Failure) else Failure("view", "There is no view.")


def _judged(
    table: ClipTable,
    judge: Opened,
    view: View | None,
    cache: Cache,
    progress: Callable[[str, int, int], None],
    executor: Executor | None,
) -> list[Value]:
    digest = instrument(judge, view)

    def unit_of(request: JudgeRequest) -> Unit:
        return Unit(score_key(digest, request), "judge", request)

    def tell(done: int) -> None:
        progress(judge.info.name, done, len(table.requests))

    return _done(judge, digest, table.requests, unit_of, cache, tell, executor)


def _done(
    opened: Opened,
    digest: str,
    requests: Sequence[JudgeRequest | Failure],
    unit_of: Callable[[JudgeRequest], Unit],
    cache: Cache,
    tell: Callable[[int], None],
    executor: Executor | None,
) -> list[Value]:
    """One result per row; rows that failed before stay failures and cost nothing."""
    todo = [unit_of(each) for each in requests if isinstance(each, JudgeRequest)]
    lost = len(requests) - len(todo)
    made = iter(
        run_all(
            opened,
            digest,
            todo,
            cache,
            executor=executor,
            progress=lambda done: tell(lost + done),
        )
    )
    return [each if isinstance(each, Failure) else next(made) for each in requests]


def _cells(result: Value, judge: Opened, captions: bool, with_rule: bool) -> dict[str, Any]:
    """Result columns; empty where there is no number to give."""
    cells: dict[str, Any] = {"sa": "", "pc": "", "joint": ""}
    rules: tuple[int | None, ...] = ()
    if isinstance(result, Score) and result.sa is not None and result.pc is not None:
        cells = {"sa": "", "pc": result.pc, "joint": "", "status": "scored"}
        if captions:
            cells |= {"sa": result.sa, "joint": int(bool(result.success(judge.info.scale)))}
        rules = result.rules
        cells["reply"] = result.reply
    elif isinstance(result, Score):
        cells |= {"status": "unscored", "reply": result.reply or result.details.get("reason", "")}
    elif isinstance(result, Failure):
        reply = result.reply or f"{result.kind}: {result.message}"
        cells |= {"status": "failed", "reply": reply}
    if with_rule:
        cells["rule_score"] = rules[0] if rules and rules[0] is not None else ""
    return cells
