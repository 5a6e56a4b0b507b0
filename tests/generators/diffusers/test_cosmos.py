"""NVIDIA's Cosmos presets: diffusers' own pipelines, and a guardrail that may say no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools.places import ROOT

pytest.importorskip("diffusers")

from phybench.generators.diffusers.guardrail import BlockedError, listen

TESTS = ROOT / "tests"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["cosmos1-7b", "cosmos2.5-2b"])
def test_cosmos_generates_and_what_the_guardrail_refuses_is_a_failure(
    preset: str, tmp_path: Path
) -> None:
    """In a process of its own, because the stand-ins must be there when diffusers is imported."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "tools" / "cosmos_child.py"), preset, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ball, weapon, water, hidden = found["first"]
    assert ball[0] == water[0] == [9, 32, 32, 3]
    assert ball[1] != water[1]
    assert weapon[0] == "refused_input"
    assert hidden[0] == "refused_output"
    assert found["again"] == [water, ball]
    assert {"cosmos_guardrail", "torchvision"} <= set(found["versions"])
    assert found["batch"] == 1


class Checker:
    """Has an opinion on texts and clips, as `cosmos_guardrail` does."""

    def check_text_safety(self, prompt: str) -> bool:
        return prompt != "bad"

    def check_video_safety(self, frames: list[int]) -> list[int] | None:
        return [frame + 1 for frame in frames] if frames else None


def test_a_guardrail_is_heard_and_still_decides() -> None:
    checker = Checker()
    listen(checker)
    assert checker.check_text_safety("good")
    assert checker.check_video_safety([1, 2]) == [2, 3]
    with pytest.raises(BlockedError) as text:
        checker.check_text_safety("bad")
    with pytest.raises(BlockedError) as clip:
        checker.check_video_safety([])
    assert (text.value.kind, clip.value.kind) == ("refused_input", "refused_output")
