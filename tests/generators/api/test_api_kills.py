"""A paid job survives the death of who asked for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tools.services.fake_service as fake
from tools.services.hosted_generators import ENDPOINT, LOOK, POST, both, clip, failure, make, one

pytestmark = pytest.mark.usefixtures("keys", "no_waiting")

CHILD = """
import sys
from phybench.contracts import ClipRequest
from phybench.generators.api.fal import fal
from phybench.generators.api.runway import runway
kind, url, ledger = sys.argv[1:]
common = {"base_url": url, "ledger": ledger, "poll_s": 0.01}
made = fal(endpoint="%s", **common) if kind == "fal" else runway(**common)
made.generate([ClipRequest("a ball falls", 7)])
"""


def start_child(kind: str, service: fake.FakeService, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD % ENDPOINT, kind, service.url]
    return subprocess.Popen([*command, str(folder / "jobs.jsonl")], env=dict(os.environ))


@both
def test_killed_between_create_and_answer_never_pays_twice(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script(POST[kind], fake.hold())
    child = start_child(kind, service, tmp_path)
    assert service.received.wait(30)
    child.kill()
    child.wait(30)
    failure(one(make(kind, service, tmp_path)), "ambiguous_create")
    assert service.jobs == 1
    assert len(service.creates()) == 1


@both
def test_killed_while_waiting_picks_the_paid_job_up_again(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    finished = service.scripts[LOOK[kind]][0]

    def waiting(handler: fake.Handler) -> None:
        handler.service.received.set()
        state = fake.runway_task("RUNNING") if kind == "runway" else fake.fal_status("IN_PROGRESS")
        state(handler)

    service.script(LOOK[kind], waiting)
    child = start_child(kind, service, tmp_path)
    assert service.received.wait(30)
    child.kill()
    child.wait(30)
    service.script(LOOK[kind], finished)
    clip(one(make(kind, service, tmp_path))).path.unlink()
    assert service.jobs == 1
