"""How fast the `chat` refiner is against a server that takes 50 ms per reply.

    python benchmarks/bench_chat.py [--prompts 1000] [--concurrency 32] [--delay-ms 50]

The server runs in a process of its own, so that it takes no time from the client's interpreter.
At concurrency 32, 1 000 replies of 50 ms take 1.56 s at best; the aim is under 3 s, with every
prompt sent once and every reply at its place.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def serve(delay_s: float, pipe: Any) -> None:
    from tools.services.fake_openai import FakeOpenAI, reply

    def script(body):
        text = json.loads(body["messages"][-1]["content"])["text"]
        return reply(json.dumps({"reasoning": "It moves.", "prompt": f"A video of {text}."}))

    with FakeOpenAI(script, delay_s=delay_s) as server:
        pipe.send(server.url)
        pipe.recv()
        sent = Counter(
            json.loads(body["messages"][-1]["content"])["text"] for body in server.requests
        )
        pipe.send((sent, server.most_in_flight))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--delay-ms", type=float, default=50)
    options = parser.parse_args()
    os.environ["PHYBENCH_CACHE"] = tempfile.mkdtemp()
    from phybench.refiners.chat import Chat

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(options.delay_ms / 1000, theirs)
    )
    server.start()
    prompts = [f"prompt {number}" for number in range(options.prompts)]
    refiner = Chat(base_url=ours.recv(), model="fake", key_env="", concurrency=options.concurrency)
    started, cpu = time.perf_counter(), time.process_time()
    results = refiner.refine(prompts, range(len(prompts)))
    elapsed, worked = time.perf_counter() - started, time.process_time() - cpu
    ours.send("stop")
    sent, most = ours.recv()
    server.join()
    right = sum(
        one.text == f"A video of {text}." for one, text in zip(results, prompts, strict=True)
    )
    print(f"{len(prompts)} prompts in {elapsed:.2f} s ({worked:.2f} s of CPU), {right} right,")
    print(f"{sum(count > 1 for count in sent.values())} sent twice, {most} in flight at most")


if __name__ == "__main__":
    main()
