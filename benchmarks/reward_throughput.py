"""Wall time of a GRPO step's reward against the lower bound of its slowest stage.

Run ``python benchmarks/reward_throughput.py --help``. Generator and judge sleep (100 ms and 50 ms
per clip by default), so that the figures are the pipeline's own: worker processes, storing clips,
the cache, and how well the stages overlap. The reward is the trainer's, called as the trainer does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import sleeping_plugins

import phybench
from phybench.plugins.contracts import VideoSettings
from phybench.plugins.spec import parse_spec
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, write_chain
from phybench.training.stage2.clip_scores import ClipScores
from phybench.training.stage2.reward import PhysicsReward, RewardRules
from phybench.training.stage2.reward_log import RewardLog
from phybench.units.cache import Cache
from phybench.units.keys import fingerprint
from phybench.workers.choice import make_executor
from phybench.workers.opening import open_plugin

END = 2


@dataclass(frozen=True)
class Timing:
    workers: int
    clips: int
    bound: float
    first: float
    steps: tuple[float, ...]
    clip: float

    @property
    def over(self) -> float:
        return statistics.median(self.steps) / self.bound - 1


@contextlib.contextmanager
def registered(folder: Path):
    """Make the sleeping plugins known, to worker processes too."""
    shutil.copy(sleeping_plugins.__file__, folder)
    about = folder / "sleeping-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeping\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(sleeping_plugins.ENTRY_POINTS)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.environ["PYTHONPATH"] = before


def rules() -> RewardRules:
    return RewardRules(
        schedule="exponential",
        alpha=3.0,
        unreadable=0.0,
        shared_seed=True,
        seed=0,
        settings=VideoSettings(),
        instructions="Physics.",
        max_new_tokens=500,
        timeout_s=600.0,
        failure_limit=0.0,
        scale=phybench.LIKERT,
    )


def step(reward: PhysicsReward, number: int, prompts: int, group: int) -> float:
    """One rollout of new texts; seconds until all rewards are there."""
    captions = [f"A ball number {at} falls." for at in range(prompts) for _ in range(group)]
    replies = [
        write_chain(
            ChainOfThought("law", "it moves", "weight", "solid", "air", f"{text} Take {at}.")
        )
        for at, text in enumerate(captions)
    ]
    started = time.perf_counter()
    rewards = asyncio.run(
        reward(
            completions=[[{"role": "assistant", "content": reply}] for reply in replies],
            completion_ids=[[5, END]] * len(replies),
            caption=captions,
            prompt_id=captions,
            split=["train"] * len(captions),
            trainer_state=SimpleNamespace(global_step=number, max_steps=1000),
            log_metric=lambda name, value: None,
            log_extra=lambda name, values: None,
        )
    )
    seconds = time.perf_counter() - started
    if any(value is None for value in rewards):
        sys.exit("a sample failed")
    return seconds


def measure(workers: int, options: argparse.Namespace, folder: Path) -> Timing:
    spec = f"seconds={options.generate},video={options.video},batch={options.batch}"
    generator = open_plugin("generator", parse_spec(f"sleeping-generator:{spec}"))
    judge = open_plugin("judge", parse_spec(f"sleeping-judge:seconds={options.judge}"))
    scores = ClipScores(
        generator, [judge], folder / "cache", lambda clips: make_executor("local", clips, workers)
    )
    reward = PhysicsReward(rules(), scores, RewardLog(folder / "log.jsonl"), frozenset({END}))
    try:
        first, *rest = (
            step(reward, number, options.prompts, options.group)
            for number in range(options.steps + 1)
        )
    finally:
        scores.close()
    clips = options.prompts * options.group
    slowest = max(options.generate, options.judge)
    bound = math.ceil(clips / workers) * slowest
    with Cache(folder / "cache") as cache:
        clip = cache.mean_seconds(fingerprint(generator))
    return Timing(workers, clips, bound, first, tuple(rest), clip)


def table(timings: list[Timing], options: argparse.Namespace) -> str:
    stored = "small videos are encoded and stored" if options.video else "clips are names"
    lines = [
        f"Generator {1000 * options.generate:g} ms, judge {1000 * options.judge:g} ms per clip, "
        f"batches of at most {options.batch}; {stored}; "
        f"{options.prompts} prompts × {options.group} replies; median of {options.steps} steps "
        "after the first, which starts the workers.",
        "",
        "| workers per stage | clips | lower bound of the slowest stage, s | reward, s | over | "
        "range, s | first step, s | a worker's own time per clip, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.workers} | {one.clips} | {one.bound:.2f} | "
        f"{statistics.median(one.steps):.3f} | {100 * one.over:+.1f} % | "
        f"{min(one.steps):.3f}–{max(one.steps):.3f} | {one.first:.2f} | "
        f"{1000 * one.clip:.1f} |"
        for one in timings
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generate", type=float, default=0.1, help="seconds per clip")
    parser.add_argument("--judge", type=float, default=0.05, help="seconds per clip")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1, help="the generator's largest batch")
    parser.add_argument("--video", action="store_true", help="store small videos, not names")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    timings = []
    for workers in options.workers:
        with tempfile.TemporaryDirectory() as name, registered(Path(name)):
            timings.append(measure(workers, options, Path(name)))
    print(table(timings, options))
    print(
        f"\nphybench {phybench.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
