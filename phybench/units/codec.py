"""Results and requests as JSON values, for the cache, the records and worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    JudgeRequest,
    Refinement,
    Score,
    VideoSettings,
)
from phybench.prompts.length_budget import Shortening

Value = Refinement | Clip | Score | Failure
_TYPES = {cls.__name__: cls for cls in (Refinement, Clip, Score, Failure)}


def to_json(value: Value) -> dict[str, Any]:
    """A result as a JSON object that names its type; :func:`from_json` reverses it."""
    data = plain(value)
    data["type"] = type(value).__name__
    return data


def from_json(data: Mapping[str, Any]) -> Value:
    """Read a result that :func:`to_json` wrote.

    Raises:
        KeyError: If the object names no known type.
        TypeError: If it has other fields than that type.
    """
    values = dict(data)
    cls = _TYPES[values.pop("type")]
    if cls is Clip:
        values["path"] = Path(values["path"]) if values["path"] else None
    if cls is Score:
        values["rules"] = tuple(values["rules"])
    return cls(**values)


def plain(value: Any) -> dict[str, Any]:
    """A flat dataclass as a dict of JSON values (paths as text, tuples as lists)."""
    return {field.name: _cell(getattr(value, field.name)) for field in fields(value)}


def _cell(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def request_to_json(
    request: str | Shortening | ClipRequest | Clip | JudgeRequest, seed: int = 0
) -> dict[str, Any]:
    """A unit of work as a JSON object; a refiner's is its prompt and seed."""
    if isinstance(request, str):
        return {"prompt": request, "seed": seed}
    if isinstance(request, Shortening):
        return {"shortening": plain(request), "seed": seed}
    if isinstance(request, Clip):
        return to_json(request)
    if isinstance(request, ClipRequest):
        return {**plain(request), "settings": plain(request.settings)}
    return {**plain(request), "clip": to_json(request.clip)}


def refiner_request_from_json(data: Mapping[str, Any]) -> str | Shortening:
    """Read a refiner's unit of work: a prompt, or a text that it shall shorten."""
    return Shortening(**data["shortening"]) if "shortening" in data else str(data["prompt"])


def clip_request_from_json(data: Mapping[str, Any]) -> ClipRequest:
    """Read a generator's unit of work."""
    return ClipRequest(**{**data, "settings": VideoSettings(**data["settings"])})


def judge_request_from_json(data: Mapping[str, Any]) -> JudgeRequest:
    """Read a judge's unit of work."""
    return JudgeRequest(clip_from_json(data["clip"]), data["prompt"], tuple(data["rules"]))


def clip_from_json(data: Mapping[str, Any]) -> Clip:
    """Read a view's unit of work."""
    clip = from_json(data)
    if not isinstance(clip, Clip):
        raise TypeError(f"Expected a clip, but got {type(clip).__name__}.")
    return clip
