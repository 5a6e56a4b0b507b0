"""A unit of work reaches a worker process as it was, whatever it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phybench import Clip, ClipRequest, JudgeRequest
from phybench.plugins.contracts import VideoSettings
from phybench.prompts.length_budget import Shortening
from phybench.units.codec import unit_from_json, unit_to_json
from phybench.units.unit import Unit

CLIP = Clip(Path("a.mp4"), "0" * 64, "a.mp4", 3, 4.0, 16, 8, {"model": "m"})
UNITS = (
    Unit("1", "refine", "a ball falls", 7),
    Unit("2", "shorten", Shortening("a", "a b c", "r", 3, 2), 7),
    Unit("3", "generate", ClipRequest("a ball falls", 7, 1, VideoSettings(frames=5))),
    Unit("4", "view", CLIP),
    Unit("5", "judge", JudgeRequest(CLIP, "a ball falls", ("a rule",))),
)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.act)
def test_every_unit_survives_json(unit: Unit) -> None:
    assert unit_from_json(json.loads(json.dumps(unit_to_json(unit)))) == unit


def test_a_view_of_something_else_than_a_clip_is_refused() -> None:
    refinement = {"type": "Refinement", "text": "a"}
    with pytest.raises(TypeError, match="Expected a clip, but got Refinement"):
        unit_from_json({"key": "k", "act": "view", "body": refinement, "seed": None})
