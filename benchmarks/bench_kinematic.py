"""Cost of the judge `kinematic` per stage: pytest benchmarks/bench_kinematic.py

Every benchmark handles the same 24 native clips (64x64, 17 frames; each family lawful and broken);
``clips_per_second`` is in the extra info, on one core. Decoding is measured apart from scoring.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from phybench.judges.kinematic.assess import assess
from phybench.judges.kinematic.plugin import judge
from phybench.judges.kinematic.thresholds import Thresholds
from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.world.families import FAMILIES
from phybench.tabletop.world.violations import breaches
from phybench.video.video_file import read_frames, write_frames

LIMITS = Thresholds()
PROMPT = "A small red ball falls onto a table."


@pytest.fixture(scope="module")
def clips():
    return [
        draw(family, 3_000_000, violation)[0]
        for family in FAMILIES
        for violation in (None, breaches(family)[0].violation)
    ]


def timed(benchmark, call, count: int) -> None:
    benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    benchmark.extra_info["clips_per_second"] = round(count / benchmark.stats["min"], 1)


def test_score_decoded_frames(benchmark, clips):
    timed(
        benchmark,
        lambda: [judge(assess(frames, 8.0, LIMITS), PROMPT, LIMITS) for frames in clips],
        len(clips),
    )


def test_measure_decoded_frames(benchmark, clips):
    timed(benchmark, lambda: [assess(frames, 8.0, LIMITS) for frames in clips], len(clips))


def test_decode(benchmark, clips, tmp_path: Path):
    paths = []
    for number, frames in enumerate(clips):
        paths.append(tmp_path / f"{number}.mp4")
        write_frames(paths[-1], frames, 8.0)
    timed(benchmark, lambda: [read_frames(path) for path in paths], len(clips))
