"""Clips that lie on disk already, with a manifest that says what each was made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest, text_digest
from phybench.plugins.contracts import ClipRequest, Failure, NoVideo, PluginInfo, VideoFile
from phybench.prompts.file_match import NameMatches, match_files
from phybench.prompts.tables import (
    CLIP_COLUMNS,
    MODEL_COLUMNS,
    PROMPT_COLUMNS,
    cell,
    column,
    listed,
    optional_column,
    read_table,
)
from phybench.video.video_file import VideoError, peek

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One clip of a manifest.

    Args:
        prompt: The user's prompt.
        text: The text that the clip was made from; the prompt unless the manifest says otherwise.
        source: The clip as the manifest names it.
        k: Which of the text's clips this is.
        model: What made the clip, if the manifest says.
    """

    prompt: str
    text: str
    source: str
    k: int
    model: str


class Files:
    """Looks up clips by the text that they were made from.

    The manifest is a csv, tsv, jsonl or parquet file with the columns ``videopath`` (or ``path``,
    ``video``, ``video_url``, ``clip``) and ``prompt`` (or ``caption``); optional are ``text`` (the
    refined prompt behind the clip), ``k`` (index of the repeat) and ``model`` (or ``model_name``,
    ``generator``, ``source``).

    Args:
        manifest: The manifest's path.
        root: Folder that relative clip paths start from; default: the manifest's folder. A clip
            that is not at its path is also looked for by file name directly in this folder, if no
            other row has that name.
        model: Take only the rows of this model; ``*`` makes one arm per model.
        clips: ``absent`` if there are labels but no clips; judges that look at pixels then cannot
            score.
        missing: What a prompt without a clip is: an ``error`` before work, or a failed item
            (``fail``).

    Raises:
        ConfigError: If the manifest cannot be read, lacks a column or the model.
    """

    def __init__(
        self,
        manifest: Path,
        root: Path | None = None,
        model: str = "",
        clips: Literal["required", "absent"] = "required",
        missing: Literal["error", "fail"] = "error",
    ) -> None:
        self._manifest = manifest
        self._root = root or manifest.parent
        self._absent = clips == "absent"
        self._missing_fails = missing == "fail"
        rows = read_manifest(manifest)
        models = sorted({row.model for row in rows})
        if model and model not in models:
            known = ", ".join(f"`{name}`" for name in models if name) or "none"
            raise ConfigError(f"Expected a model of {str(manifest)!r}, but got {model!r}: {known}.")
        self._rows = [row for row in rows if not model or row.model == model]
        sources = [row.source for row in rows]
        self._matches = NameMatches((), 0) if self._absent else match_files(sources, self._root)
        self._found = dict(zip(sources, self._matches.found, strict=False))
        self._by_text = {(row.text, row.k): row for row in self._rows}
        self.info = PluginInfo(
            name=model or manifest.stem,
            revision=file_digest(manifest)[:8],
            licence="the clips' own",
            fingerprint={
                "manifest": file_digest(manifest),
                "model": model,
                "clips": clips,
                "files": self._state_of_files(),
            },
            max_batch=256 if clips == "absent" else 16,
        )

    @staticmethod
    def expand(options: Mapping[str, object]) -> list[dict[str, object]]:
        """One option set per model of the manifest for ``model=*``."""
        if options.get("model") != "*" or "manifest" not in options:
            return [dict(options)]
        rows = read_manifest(Path(str(options["manifest"])))
        models = dict.fromkeys(row.model for row in rows)
        return [{**options, "model": model} for model in models]

    def prompts(self) -> list[str]:
        """The user prompts of the manifest, each once, in its order."""
        return list(dict.fromkeys(row.prompt for row in self._rows))

    def sources(self) -> list[str]:
        """The clips as the manifest names them."""
        return [row.source for row in self._rows]

    def check(self, plan: PlannedRun) -> list[str]:
        """Every text of the plan has a clip, and every clip can be read."""
        problems: list[str] = []
        for request in plan.known_requests():
            row = self._by_text.get((request.text, request.k))
            if row is None and not self._missing_fails:
                problems.append(self._no_clip(request))
            elif row is not None and not self._absent:
                problems += self._unreadable(row)
        return listed([f"{self.info.name}: {problem}" for problem in problems])

    def remarks(self, plan: PlannedRun) -> list[str]:
        """Whether clips were found by their file's name alone."""
        remark = self._matches.remark("clips")
        return [f"{self.info.name}: {remark}"] if remark else []

    def generate(self, requests: Sequence[ClipRequest]) -> Sequence[VideoFile | NoVideo | Failure]:
        """Hand out the clips that the manifest names."""
        return [self._clip(request) for request in requests]

    def _clip(self, request: ClipRequest) -> VideoFile | NoVideo | Failure:
        row = self._by_text.get((request.text, request.k))
        if row is None:
            return Failure("missing", self._no_clip(request))
        meta = {"model": row.model} if row.model else {}
        if self._absent:
            return NoVideo(row.source, meta)
        path = self._path(row)
        if path is None:
            return Failure("missing", f"There is no file {row.source!r}.")
        return VideoFile(path, row.source, move=False, meta=meta)

    def _no_clip(self, request: ClipRequest) -> str:
        return (
            f"Expected a clip for {request.text[:80]!r} (repeat {request.k}) in "
            f"{self._manifest.name!r}, but there is none."
        )

    def _unreadable(self, row: ManifestRow) -> list[str]:
        path = self._path(row)
        if path is None:
            return [f"Expected a file at {row.source!r} below {str(self._root)!r}."]
        try:
            peek(path)
        except VideoError as error:
            return [str(error)]
        return []

    def _path(self, row: ManifestRow) -> Path | None:
        found = self._found[row.source]
        return None if found is None else self._root / found

    def _state_of_files(self) -> str:
        """A clip that is replaced in place must not be served from the cache."""
        if self._absent:
            return ""
        states = []
        for row in self._rows:
            path = self._path(row)
            if path is not None:
                stat = path.stat()
                states.append(f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}")
        return text_digest(*states)


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest.

    Raises:
        ConfigError: If it cannot be read, lacks a column, has an empty cell, a bad ``k``, or two
            clips for one text, model and repeat.
    """
    rows = read_table(path)
    clip = column(rows, CLIP_COLUMNS, path)
    prompt = column(rows, PROMPT_COLUMNS, path)
    text = "text" if "text" in rows[0] else prompt
    model = optional_column(rows, MODEL_COLUMNS)
    seen: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    found = []
    for number, row in enumerate(rows, 1):
        name = cell(row, model, number, path) if model else ""
        words = cell(row, text, number, path)
        taken = seen[words, name]
        k = _repeat(row, len(taken), number, path)
        if k in taken:
            raise ConfigError(
                f"Expected one clip per text, model and `k` in {str(path)!r}, but row {number} is "
                f"the second for {words[:60]!r}, k = {k}."
            )
        taken.add(k)
        found.append(
            ManifestRow(
                cell(row, prompt, number, path), words, cell(row, clip, number, path), k, name
            )
        )
    return found


def _repeat(row: Mapping[str, Any], default: int, number: int, path: Path) -> int:
    value = row.get("k")
    if value is None or value == "":
        return default
    if not str(value).isdecimal():
        raise ConfigError(
            f"Expected `k` in row {number} of {str(path)!r} to be a whole number ≥ 0, "
            f"but got {value!r}."
        )
    return int(str(value))
