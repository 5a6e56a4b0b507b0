"""A run's items with everything known of them, one record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phybench.machine.files import read_jsonl
from phybench.plugins.contracts import Clip
from phybench.runs.folder import ITEMS, SCORES

ItemKey = tuple[str, int, str, str]
"""Prompt id, repeat, refiner, generator."""


@dataclass(frozen=True, slots=True)
class JudgedItem:
    """One prompt through one arm, and what the judges said.

    Args:
        index: Position in the run's plan.
        prompt_id: The prompt's id.
        prompt: The user's text.
        refiner: Name of the refiner.
        generator: Name of the generator.
        k: Index of the repeat.
        seed: The item's seed.
        refinement: The refinement's fields; ``None`` if refining failed.
        clip: The clip's fields; ``None`` if there is none.
        error: Stage, kind and message if the item failed before judging.
        scores: Score rows by judge; ``status`` is ``scored``, ``unscored`` or ``failed``.
        view: The fields of the clip as judges saw it, if the run has a common view.
    """

    index: int
    prompt_id: str
    prompt: str
    refiner: str
    generator: str
    k: int
    seed: int
    refinement: Mapping[str, Any] | None
    clip: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    view: Mapping[str, Any] | None = None

    @property
    def key(self) -> ItemKey:
        """What names the item in any run on these prompts."""
        return self.prompt_id, self.k, self.refiner, self.generator


def read_items(folder: Path) -> list[JudgedItem]:
    """Read a run's items in the plan's order; of several rows for one item the last counts.

    A score of a clip that the item no longer has is passed over.

    Raises:
        ConfigError: If a file of the run is damaged.
    """
    rows = {row["index"]: row for row in read_jsonl(folder / ITEMS)}
    scores: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in read_jsonl(folder / SCORES):
        clip = rows.get(row["index"], {}).get("clip")
        if clip is not None and clip["sha256"] == row["clip"]:
            scores.setdefault(row["index"], {})[row["judge"]] = row
    return [_item(rows[index], scores.get(index, {})) for index in sorted(rows)]


def _item(row: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> JudgedItem:
    return JudgedItem(
        row["index"],
        row["prompt_id"],
        row["prompt"],
        row["refiner"],
        row["generator"],
        row["k"],
        row["seed"],
        row.get("refinement"),
        row.get("clip"),
        row.get("error"),
        scores,
        row.get("view"),
    )


def clip_of(item: JudgedItem) -> Clip | None:
    """The item's clip as judges receive it."""
    fields = item.view or item.clip
    if fields is None:
        return None
    path = fields["path"]
    return Clip(**{**fields, "path": Path(path) if path else None})


def broken_laws(score: Mapping[str, Any]) -> list[str]:
    """What a judge names as broken in a score row's details, without repetition.

    Judges say it as ``law`` (one name), as ``violations`` (names, or objects with an ``id``), or
    as the ``law`` of each vote of each of their ``asks``.
    """
    details = score.get("details") or {}
    votes = [vote for ask in (details.get("asks") or {}).values() for vote in ask["votes"]]
    named = [
        details.get("law"),
        *(details.get("violations") or []),
        *(vote.get("law") for vote in votes),
    ]
    names = [each.get("id") if isinstance(each, Mapping) else each for each in named]
    return list(dict.fromkeys(str(name) for name in names if name))
