"""Results and units as JSON values, for the cache, the records and worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from phybench.units.unit import Act, Body, Unit

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


def unit_to_json(unit: Unit) -> dict[str, Any]:
    """A unit of work as a JSON object; :func:`unit_from_json` reverses it."""
    body = _BODIES[unit.act][0](unit.body)
    return {"key": unit.key, "act": unit.act, "body": body, "seed": unit.seed}


def unit_from_json(data: Mapping[str, Any]) -> Unit:
    """Read a unit of work that :func:`unit_to_json` wrote.

    Raises:
        KeyError: If the object names no known act.
        TypeError: If its body has other fields than that act's.
    """
    body = _BODIES[data["act"]][1](data["body"])
    return Unit(data["key"], data["act"], body, data["seed"])


def _same(body: Any) -> Any:
    return body


def _shortening(data: Mapping[str, Any]) -> Shortening:
    return Shortening(**data)


def _clip_request_to_json(request: ClipRequest) -> dict[str, Any]:
    return {**plain(request), "settings": plain(request.settings)}


def _clip_request(data: Mapping[str, Any]) -> ClipRequest:
    return ClipRequest(**{**data, "settings": VideoSettings(**data["settings"])})


def _judge_request_to_json(request: JudgeRequest) -> dict[str, Any]:
    return {**plain(request), "clip": to_json(request.clip)}


def _judge_request(data: Mapping[str, Any]) -> JudgeRequest:
    return JudgeRequest(_clip(data["clip"]), data["prompt"], tuple(data["rules"]))


def _clip(data: Mapping[str, Any]) -> Clip:
    clip = from_json(data)
    if not isinstance(clip, Clip):
        raise TypeError(f"Expected a clip, but got {type(clip).__name__}.")
    return clip


_BODIES: Mapping[Act, tuple[Callable[[Any], Any], Callable[[Any], Body]]] = {
    "refine": (_same, str),
    "shorten": (plain, _shortening),
    "generate": (_clip_request_to_json, _clip_request),
    "view": (to_json, _clip),
    "judge": (_judge_request_to_json, _judge_request),
}
"""By act, how a body becomes JSON, and back."""
