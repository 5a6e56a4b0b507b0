from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tools.services.fake_service as fake
from tools.services.hosted_generators import LOOK, POST


@pytest.fixture
def service(tmp_path: Path) -> Iterator[fake.FakeService]:
    made, server = fake.start(tmp_path)
    made.script(POST["runway"], fake.runway_create())
    made.script(LOOK["runway"], fake.runway_done())
    made.script(POST["fal"], fake.fal_create())
    made.script(LOOK["fal"], fake.fal_status("COMPLETED"))
    made.script("GET /result", fake.fal_result())
    yield made
    made.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", "secret-key")
    monkeypatch.setenv("FAL_KEY", "secret-key")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
