"""Accuracy of the judge `kinematic` on clips of the simulated world and of other renderers.

Half of the clips are lawful, the violations are balanced over all rows of the world's table.
Run: python benchmarks/kinematic_accuracy.py [--clips 2400] [--seed 1000000]
Seeds below 10 000 were used while tuning; evaluation seeds start at 1 000 000.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from phybench.judges.kinematic import Kinematic, judge
from phybench.judges.kinematics.assess import assess
from phybench.judges.kinematics.thresholds import Thresholds
from phybench.tabletop.clips import draw
from phybench.tabletop.families import FAMILIES
from phybench.tabletop.violations import breaches

LIMITS = Thresholds()
Clip = tuple[np.ndarray, float]


@dataclass
class Case:
    """One drawn clip and what is true of it."""

    family: str
    seed: int
    violation: str | None


@dataclass
class Tally:
    """Verdicts under one condition."""

    lawful: list[bool] = field(default_factory=list)
    broken: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    false_alarms: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    unscored: int = 0
    seconds: float = 0.0

    @property
    def clips(self) -> int:
        return len(self.lawful) + sum(map(len, self.broken.values())) + self.unscored

    @property
    def recall(self) -> float:
        """Share of the unlawful clips with PC < 4."""
        return float(np.mean([hit for hits in self.broken.values() for hit in hits]))

    @property
    def specificity(self) -> float:
        """Share of the lawful clips with PC >= 4."""
        return float(np.mean(self.lawful))

    @property
    def balanced(self) -> float:
        return (self.recall + self.specificity) / 2


def cases(count: int, seed: int) -> Iterator[Case]:
    """``count`` cases: each row of the violations' table in turn, each followed by a lawful clip."""
    rows = [(family, row.violation) for family in FAMILIES for row in breaches(family)]
    for index in range(count // 2):
        family, violation = rows[index % len(rows)]
        yield Case(family, seed + index, violation)
        yield Case(family, seed + count + index, None)


def noisy(frames: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian pixel noise of standard deviation 5."""
    noise = np.random.default_rng(seed).normal(0, 5, frames.shape)
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)


def compressed(frames: np.ndarray, fps: float) -> np.ndarray:
    """H.264 at CRF 28 and back."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=round(fps))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "28", "threads": "1"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def conditions() -> dict[str, Callable[[Case], tuple[Clip, dict]]]:
    """How a case becomes frames, by the name of the condition."""

    def plain(size: int = 64, fps: float = 8.0) -> Callable[[Case], tuple[Clip, dict]]:
        def make(case: Case) -> tuple[Clip, dict]:
            frames, truth = draw(case.family, case.seed, case.violation, size=size, fps=fps)
            return (frames, fps), truth

        return make

    def crf(case: Case) -> tuple[Clip, dict]:
        (frames, fps), truth = plain()(case)
        return (compressed(frames, fps), fps), truth

    def noise(case: Case) -> tuple[Clip, dict]:
        (frames, fps), truth = plain()(case)
        return (noisy(frames, case.seed), fps), truth

    return {
        "64 px, 8 fps": plain(),
        "H.264 CRF 28": crf,
        "noise 5/255": noise,
        "96 px": plain(size=96),
        "128 px": plain(size=128),
        "256 px": plain(size=256),
        "12 fps": plain(fps=12.0),
        "16 fps": plain(fps=16.0),
        "24 fps": plain(fps=24.0),
    }


def evaluate(
    chosen: list[Case], make: Callable[[Case], tuple[Clip, dict]], misses: list[str] | None = None
) -> Tally:
    """Judge PC of every case under one condition."""
    tally = Tally()
    for case in chosen:
        (frames, fps), truth = make(case)
        if case.violation and truth["lawful"]:
            continue  # began too late to be seen
        start = time.process_time()
        assessment = assess(frames, fps, LIMITS)
        score = judge(assessment, f"a {case.family}", LIMITS)
        tally.seconds += time.process_time() - start
        pc = score.pc if score.pc is not None else score.details.get("pc")
        if pc is None:
            tally.unscored += 1
            wrong = True
        elif case.violation:
            tally.broken[case.family, case.violation].append(pc < 4)
            wrong = pc >= 4
        else:
            tally.lawful.append(pc >= 4)
            tally.false_alarms[case.family].append(pc < 4)
            wrong = pc < 4
        if wrong and misses is not None:
            ids = [f"{f.id}@{f.frame}x{f.magnitude:.2f}" for f in assessment.findings]
            misses.append(f"{case.family} {case.seed} {case.violation} {assessment.reason} {ids}")
    return tally
