"""A whole run with a hosted refiner: killed, resumed, and recorded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

pytest.importorskip("httpx", reason="the extra `api` is not installed")

from tools.harness import phybench, write_prompts
from tools.services.fake_openai import FakeOpenAI, reply

PROMPTS, LATE = 24, 8


def asked(body):
    return json.loads(body["messages"][-1]["content"])["text"]


@pytest.mark.slow
def test_a_killed_run_pays_for_no_refinement_twice(examples):
    """Killed while the last eight replies are on their way; only those are asked for again."""
    gate, arrived = threading.Event(), threading.Semaphore(0)

    def script(body):
        arrived.release()
        number = int(asked(body).split()[3])
        text = json.dumps({"reasoning": "It rolls.", "prompt": f"Video {number} of a ball."})
        return reply(text, gate=gate if number >= PROMPTS - LATE else None)

    prompts = write_prompts(examples, PROMPTS)
    with FakeOpenAI(script) as server:
        spec = f"chat:base_url={server.url},model=m,key_env=,concurrency={LATE}"
        arms = ["-r", spec, "-g", "bar", "-j", "brightness", "--seeds", "1"]
        arguments = ["run", *arms, "-p", str(prompts), "-o", "out", "--executor", "serial"]
        command = [sys.executable, "-m", "phybench", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(PROMPTS):
            assert arrived.acquire(timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        gate.set()
        done = phybench(*arguments)
        assert done.returncode == 0, done.stderr
        times = Counter(asked(body) for body in server.requests)
    assert len(times) == PROMPTS
    assert sum(times.values()) == PROMPTS + LATE
    items = [json.loads(line) for line in (examples / "out" / "items.jsonl").open()]
    assert sorted(item["refinement"]["text"] for item in items) == sorted(
        f"Video {number} of a ball." for number in range(PROMPTS)
    )
