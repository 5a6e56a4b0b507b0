"""A refiner, a generator and a judge in about thirty lines each: copy, rename, replace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from phybench import (
    ClipRequest,
    Failure,
    Frames,
    JudgeRequest,
    PluginInfo,
    Refinement,
    Score,
    VideoSettings,
)
from phybench.video.video_file import VideoError, read_frames


class Shout:
    """Writes the prompt in capitals and adds exclamation marks."""

    def __init__(self, marks: Annotated[int, Field(ge=1)] = 1) -> None:
        self._marks = marks
        self.info = PluginInfo(
            name="shout",
            revision="1",
            licence="Apache-2.0",
            fingerprint={"version": 1, "marks": marks},
            max_batch=64,
            seeded=False,
            free=True,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt."""
        return [Refinement(prompt.upper() + "!" * self._marks) for prompt in prompts]


class Bar:
    """Draws a bar whose brightness follows from the text's length and the seed."""

    def __init__(self, size: Annotated[int, Field(ge=2, multiple_of=2)] = 16) -> None:
        self._size = size
        self.info = PluginInfo(
            name="bar",
            revision="1",
            licence="Apache-2.0",
            fingerprint={"version": 1, "size": size, "numpy": np.__version__},
            simulated=True,
            max_batch=16,
            video=VideoSettings(frames=2, fps=8, width=size, height=size),
        )

    def generate(self, requests: Sequence[ClipRequest]) -> Sequence[Frames | Failure]:
        """Make one clip per request."""
        return [self._clip(request) for request in requests]

    def _clip(self, request: ClipRequest) -> Frames | Failure:
        if "forbidden" in request.text.lower():
            return Failure("refusal", "This generator refuses forbidden things.")
        frames = np.zeros((2, self._size, self._size, 3), np.uint8)
        frames[:, :, : self._size // 2] = (request.seed + len(request.text)) % 256
        return Frames(frames, fps=8)


class Brightness:
    """Scores PC by mean brightness and SA by the prompt's length."""

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="brightness",
            revision="1",
            licence="Apache-2.0",
            fingerprint={"version": 1},
            max_batch=16,
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score each clip."""
        return [self._score(request) for request in requests]

    def _score(self, request: JudgeRequest) -> Score | Failure:
        if request.clip.path is None:
            return Score.unscored("There is no video.")
        try:
            frames, _ = read_frames(request.clip.path)
        except VideoError as error:
            return Failure("decode", str(error))
        return Score(1 + len(request.prompt) % 5, 1 + 4 * float(frames.mean()) / 255)
