"""Accuracy of `kinematic` on clips that were not used in tuning: a guard against regressions.

The full evaluation is ``benchmarks/kinematic_accuracy.py``; bounds here leave room for the spread
of a small sample.
"""

from __future__ import annotations

import numpy as np
from tools.simple_renderers import SCENES, STYLES, draw_simple

from phybench.judges.kinematic.assess import assess
from phybench.judges.kinematic.plugin import judge
from phybench.judges.kinematic.thresholds import Thresholds
from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.world.families import FAMILIES
from phybench.tabletop.world.violations import BREACHES

LIMITS = Thresholds()


def lawful(frames: np.ndarray, fps: float) -> bool:
    score = judge(assess(frames, fps, LIMITS), "a ball falls", LIMITS)
    return score.pc is not None and score.pc >= 4


def test_world():
    hits, passes = [], []
    for index, row in enumerate(BREACHES):
        frames, truth = draw(row.family, 2_000_000 + index, row.violation)
        if not truth["lawful"]:
            hits.append(not lawful(frames, 8.0))
    for index in range(8 * len(FAMILIES)):
        family = list(FAMILIES)[index % len(FAMILIES)]
        passes.append(lawful(draw(family, 2_100_000 + index)[0], 8.0))
    assert np.mean(hits) >= 0.93
    assert np.mean(passes) >= 0.93


def test_other_renderers():
    hits, passes = [], []
    for scene, (_, violations) in SCENES.items():
        for style in STYLES:
            for index in range(3):
                broken = violations[(index + len(style)) % len(violations)]
                seed = 2_200_000 + index
                clip = draw_simple(scene, seed, style=style, violation=broken, size=64)
                hits.append(not lawful(clip.frames, clip.fps))
                clip = draw_simple(scene, seed + 50, style=style, size=64)
                passes.append(lawful(clip.frames, clip.fps))
    assert (np.mean(hits) + np.mean(passes)) / 2 >= 0.85
