"""A plan counts the work of plugins that other plugins call."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("httpx", reason="the extra `api` is not installed")

import phybench

TEXTS = [f"a ball number {number} rolls" for number in range(10)]
INNER = "vllm:base_url=http://127.0.0.1:9/v1,model=m,usd_per_million_in=1"


def planned(**options):
    defaults = {"generators": "bar", "judges": "brightness", "prompts": TEXTS, "seeds": 1}
    return phybench.plan(**{**defaults, **options})


def test_clips_that_a_refiner_makes_to_choose_a_text_are_counted(examples: Path) -> None:
    spec = f"best-of-n:refiner=[{INNER}],generator=bar,by=brightness,n=4"
    found = planned(refiners=spec)
    assert [(one.kind, one.units) for one in found.nested] == [
        ("refiner", 40),
        ("generator", 40),
        ("judge", 40),
    ]
    assert {one.inside for one in found.nested} == {found.stages[0].name}
    assert f"generator bar in {found.stages[0].name}: up to 40" in found.to_text()
    alone = planned(refiners="identity")
    assert not alone.nested
    assert found.disk_bytes == 5 * alone.disk_bytes > 0


def test_members_of_an_ensemble_are_counted(examples: Path) -> None:
    found = planned(refiners="identity", judges="ensemble:members=brightness|kinematic")
    assert [(one.name, one.units) for one in found.nested] == [
        ("brightness", 10),
        ("kinematic", 10),
    ]
