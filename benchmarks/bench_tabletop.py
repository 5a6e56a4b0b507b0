"""Cost of one clip on the embedded path, stage by stage: pytest benchmarks/bench_tabletop.py

Each benchmark handles the same sixteen native clips (64×64, 17 frames); ``clips_per_second`` is in
the extra info, on one core.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from phybench import ClipRequest, JudgeRequest
from phybench.plugins.registry import create
from phybench.prompts.prompt_sets import load_prompts
from phybench.video.clip_store import store_clip
from phybench.video.video_file import read_frames

PROMPTS = load_prompts("tabletop-test", 16).prompts
REQUESTS = [ClipRequest(prompt.text, seed) for seed, prompt in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def generator():
    return create("generator", "tabletop")


@pytest.fixture(scope="module")
def stored(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    made = generator.generate(REQUESTS)
    return [store_clip(one, folder, f"{number:08d}") for number, one in enumerate(made)]


def timed(benchmark, call):
    result = benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    benchmark.extra_info["clips_per_second"] = round(len(REQUESTS) / benchmark.stats["min"], 1)
    return result


def test_simulate_and_render(benchmark, generator):
    assert len(timed(benchmark, lambda: generator.generate(REQUESTS))) == len(REQUESTS)


def test_encode_check_and_store(benchmark, generator, tmp_path: Path):
    made = generator.generate(REQUESTS)
    timed(benchmark, lambda: [store_clip(one, tmp_path, f"{n:08d}") for n, one in enumerate(made)])


def test_decode(benchmark, stored):
    timed(benchmark, lambda: [read_frames(clip.path) for clip in stored])


def test_decode_and_judge(benchmark, stored):
    judge = create("judge", "kinematic")
    requests = [
        JudgeRequest(clip, prompt.text) for clip, prompt in zip(stored, PROMPTS, strict=True)
    ]
    assert len(timed(benchmark, lambda: judge.score(requests))) == len(requests)
