"""Scores that lie in a table already: human labels, or another tool's output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest, text_digest
from phybench.plugins.contracts import (
    BINARY,
    LIKERT,
    Failure,
    JudgeRequest,
    PluginInfo,
    Scale,
    Score,
)
from phybench.prompts.file_match import match_names
from phybench.prompts.tables import CLIP_COLUMNS, cell, column, listed, read_table

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun

_KEYS = ("sha256", *CLIP_COLUMNS)
_MEASURES: Mapping[str, tuple[str, ...]] = {
    "sa": ("sa", "majority_sa", "human_sa"),
    "pc": ("pc", "majority_pc", "human_pc"),
}
_SCALES = {"likert": LIKERT, "binary": BINARY}


class Labels:
    """Looks up SA and PC by clip.

    A table has a column that names the clip (``videopath``, ``video_url``, …: the manifest's name
    of it; or ``sha256``: the stored file's digest) and ``sa`` and ``pc`` (or ``majority_sa``, …).
    SA and PC may also come from two files with a column ``score`` each, as VideoPhy's tool writes.

    Args:
        file: Table with both measures.
        sa: Table with SA only; give ``pc`` too.
        pc: Table with PC only.
        scale: ``likert`` for 1..5 (success is ≥ 4), ``binary`` for 0/1; ``auto`` decides by the
            values and refuses where they fit both.
        unmatched: What a clip without a label, or a label without a clip, is: an ``error`` before
            work, or an unscored item (``unscored``).

    Raises:
        ConfigError: If a table cannot be read, a label lies outside the scale, a clip has two
            different labels, or one measure is missing.
    """

    def __init__(
        self,
        file: Path | None = None,
        sa: Path | None = None,
        pc: Path | None = None,
        scale: Literal["auto", "likert", "binary"] = "auto",
        unmatched: Literal["error", "unscored"] = "error",
    ) -> None:
        paths = _paths(file, sa, pc)
        tables = {path: read_table(path) for path in set(paths.values())}
        values = {measure: _labels(tables[path], path, measure) for measure, path in paths.items()}
        chosen = _scale(scale, [value for table in values.values() for value in table.values()])
        for measure, path in paths.items():
            _check_scale(values[measure], chosen, path)
        self._values = values
        self._strict = unmatched == "error"
        digests = {measure: file_digest(path) for measure, path in paths.items()}
        self.info = PluginInfo(
            name="labels",
            revision=text_digest(*digests.values())[:8],
            licence="the labels' own",
            fingerprint={**digests, "scale": [chosen.low, chosen.high, chosen.success]},
            max_batch=256,
            scale=chosen,
        )

    def check(self, plan: PlannedRun) -> list[str]:
        """Labels and the clips that generators name beforehand match one to one."""
        if not self._strict:
            return []
        clips = set(plan.known_sources())
        if not clips:
            return []
        labelled = {key for table in self._values.values() for key in table}
        keys = self._keys(sorted(clips))
        problems = [
            f"Expected a label for clip {source!r}, but there is none."
            for source, found in keys.items()
            if None in found.values()
        ]
        used = {key for found in keys.values() for key in found.values()}
        problems += [
            f"Expected a clip for label {key!r}, but no manifest names it."
            for key in sorted(labelled - used)
            if not _is_digest(key)
        ]
        hint = ["Give `unmatched=unscored` to go on without them."] if problems else []
        return [f"labels: {problem}" for problem in listed(problems) + hint]

    def remarks(self, plan: PlannedRun) -> list[str]:
        """Whether labels were found by their clip's file name alone."""
        sources = plan.known_sources()
        found = [match_names(sources, table).remark("labels") for table in self._values.values()]
        return [f"labels: {remark}" for remark in dict.fromkeys(found) if remark]

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Look up each clip's label."""
        keys = self._keys([request.clip.source for request in requests])
        return [self._score(request, keys[request.clip.source]) for request in requests]

    def _score(self, request: JudgeRequest, by_name: Mapping[str, str | None]) -> Score:
        clip = request.clip
        # Under a common view the labels are still those of the native clip.
        view = clip.meta.get("view")
        native = str(view.get("native_sha256", "")) if isinstance(view, Mapping) else ""
        found = {
            measure: next(
                (table[key] for key in (clip.sha256, native, by_name[measure]) if key in table),
                None,
            )
            for measure, table in self._values.items()
        }
        if found["sa"] is None or found["pc"] is None:
            return Score.unscored(f"No label for clip {clip.source or clip.sha256!r}.")
        return Score(found["sa"], found["pc"])

    def _keys(self, sources: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """By clip and measure the label's key, or ``None`` where none is meant beyond doubt."""
        matched = {
            measure: match_names(sources, table).found for measure, table in self._values.items()
        }
        return {
            source: {measure: found[row] for measure, found in matched.items()}
            for row, source in enumerate(sources)
        }


def _paths(file: Path | None, sa: Path | None, pc: Path | None) -> dict[str, Path]:
    if file is not None and sa is None and pc is None:
        return {"sa": file, "pc": file}
    if file is None and sa is not None and pc is not None:
        return {"sa": sa, "pc": pc}
    raise ConfigError(
        "Expected the judge `labels` to be given `file`, or both `sa` and `pc`: "
        "labels:file=labels.csv or labels:sa=sa.csv,pc=pc.csv"
    )


def _labels(rows: Sequence[Mapping[str, Any]], path: Path, measure: str) -> dict[str, float]:
    """Labels by the clip's name or digest in the table."""
    key = column(rows, _KEYS, path)
    value = column(rows, (*_MEASURES[measure], "score"), path)
    found: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        clip = cell(row, key, number, path)
        label = _number(row, value, number, path)
        if found.setdefault(clip, label) != label:
            raise ConfigError(
                f"Expected one label per clip in {str(path)!r}, but row {number} gives {clip!r} "
                f"the second, different `{value}`."
            )
    return found


def _number(row: Mapping[str, Any], name: str, number: int, path: Path) -> float:
    text = cell(row, name, number, path)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ConfigError(
            f"Expected a number as `{name}` in row {number} of {str(path)!r}, but got {text!r}."
        )
    return value


def _scale(name: str, values: Sequence[float]) -> Scale:
    if name != "auto":
        return _SCALES[name]
    distinct = set(values)
    if distinct <= {0.0, 1.0} and 0.0 in distinct:
        return BINARY
    if distinct != {1.0}:
        return LIKERT
    raise ConfigError(
        "Expected labels that show their scale, but all are 1. Say which it is: "
        "scale=binary or scale=likert"
    )


def _check_scale(values: Mapping[str, float], scale: Scale, path: Path) -> None:
    for clip, value in values.items():
        legal = value in {0.0, 1.0} if scale == BINARY else scale.low <= value <= scale.high
        if not legal:
            raise ConfigError(
                f"Expected labels in {scale.low:g}..{scale.high:g} in {str(path)!r}, but got "
                f"{value:g} for {clip!r}. Correct it, or name the scale with `scale`."
            )


def _is_digest(key: str) -> bool:
    return len(key) == 64 and all(char in "0123456789abcdef" for char in key)
