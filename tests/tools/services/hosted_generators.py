"""Generators behind a fake service, as the tests of `runway` and `fal` make and read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tools.services.fake_service as fake
from phybench.generators.api.fal import fal
from phybench.generators.api.runway import runway
from phybench.plugins.contracts import ClipRequest, Failure, VideoFile

PROMPT = ClipRequest("a ball falls", 7)
ENDPOINT = "fal-ai/pika/v2.2/text-to-video"
POST = {"runway": "POST /v1/text_to_video", "fal": f"POST /{ENDPOINT}"}
LOOK = {"runway": "GET /v1/tasks", "fal": "GET /status"}


def make(kind: str, service: fake.FakeService, folder: Path, **options: Any) -> Any:
    common = {"base_url": service.url, "poll_s": 0, "ledger": str(folder / "jobs.jsonl")}
    if kind == "fal":
        return fal(**{"endpoint": ENDPOINT, **common, **options})
    return runway(**{**common, **options})


def one(generator: Any, request: ClipRequest = PROMPT) -> Any:
    return generator.generate([request])[0]


def clip(result: object) -> VideoFile:
    assert isinstance(result, VideoFile), result
    return result


def failure(result: object, kind: str) -> Failure:
    assert isinstance(result, Failure), result
    assert result.kind == kind, result
    assert "secret-key" not in result.message
    return result


both = pytest.mark.parametrize("kind", ["runway", "fal"])
