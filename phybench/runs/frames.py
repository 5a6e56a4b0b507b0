"""A run's rows as pandas frames; pandas is imported when the first one is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phybench.runs.items import JudgedItem

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ("prompt_id", "prompt", "refiner", "generator", "k", "seed")
_ITEM = (*_NAMES, "status", "text", "clip")
_SCORE = (*_NAMES, "text", "clip", "judge", "status", "sa", "pc", "joint", "reply")
_FAILURE = (*_NAMES, "stage", "judge", "kind", "message", "retryable")


def table_frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a frame with these columns, also where there is no row."""
    import pandas as pd

    return pd.DataFrame([dict(row) for row in rows], columns=list(columns))


def items_frame(items: Sequence[JudgedItem]) -> pd.DataFrame:
    """One row per item: its names, its status, the refined text and the clip's path."""
    return table_frame(map(_made, items), _ITEM)


def scores_frame(items: Sequence[JudgedItem]) -> pd.DataFrame:
    """One row per item and judge, with SA and PC on the judge's scale, empty if not scored."""
    # A score's own row names its clip by digest; here the clip is a path, as in `items`.
    rows = (
        {**score, **_made(item), "judge": judge, "status": score["status"]}
        for item in items
        for judge, score in item.scores.items()
    )
    return table_frame(({name: row.get(name) for name in _SCORE} for row in rows), _SCORE)


def failures_frame(items: Sequence[JudgedItem]) -> pd.DataFrame:
    """One row per failure of an item or of a judgement, with its stage, kind and message."""
    rows = (
        {**_named(item), **error, "judge": judge}
        for item in items
        for judge, error in _errors(item)
    )
    return table_frame(({name: row.get(name) for name in _FAILURE} for row in rows), _FAILURE)


def _errors(item: JudgedItem) -> list[tuple[str, Mapping[str, Any]]]:
    judged = [(judge, score["error"]) for judge, score in item.scores.items() if "error" in score]
    return [*([("", item.error)] if item.error else []), *judged]


def _named(item: JudgedItem) -> dict[str, Any]:
    return {name: getattr(item, name) for name in _NAMES}


def _made(item: JudgedItem) -> dict[str, Any]:
    return {
        **_named(item),
        "status": "failed" if item.error else "ok",
        "text": (item.refinement or {}).get("text"),
        "clip": (item.clip or {}).get("path"),
    }
