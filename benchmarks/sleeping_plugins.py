"""A generator and a judge that sleep, so that what is measured is everything else."""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
from pydantic import Field

from phybench import Frames, NoVideo, PluginInfo, Score, VideoSettings

Seconds = Annotated[float, Field(ge=0)]
ENTRY_POINTS = """
[phybench.generators]
sleeping-generator = sleeping_plugins:SleepingGenerator
[phybench.judges]
sleeping-judge = sleeping_plugins:SleepingJudge
"""


class SleepingGenerator:
    """Makes a clip in a given time: a name alone, or a small video whose storing comes on top."""

    def __init__(
        self,
        seconds: Seconds = 0.1,
        *,
        video: bool = False,
        batch: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self._seconds, self._video = seconds, video
        self.info = PluginInfo(
            name="sleeping-generator",
            revision="1",
            licence="Apache-2.0",
            fingerprint={"seconds": seconds, "video": video},
            simulated=True,
            max_batch=batch,
            video=VideoSettings(frames=2, fps=8, width=16, height=16),
        )

    def generate(self, requests):
        return [self._clip(request) for request in requests]

    def _clip(self, request):
        time.sleep(self._seconds)
        if not self._video:
            return NoVideo(f"{request.seed} {request.text}")
        return Frames(np.full((2, 16, 16, 3), request.seed % 256, np.uint8), fps=8)


class SleepingJudge:
    """Scores a clip in a given time."""

    def __init__(self, seconds: Seconds = 0.05) -> None:
        self._seconds = seconds
        self.info = PluginInfo(
            name="sleeping-judge",
            revision="1",
            licence="Apache-2.0",
            fingerprint={"seconds": seconds},
        )

    def score(self, requests):
        return [self._score(request) for request in requests]

    def _score(self, request):
        time.sleep(self._seconds)
        return Score(sa=1.0 + len(request.prompt) % 5, pc=3.0)
