"""A clip and a key for judges that are language models."""

from __future__ import annotations

import numpy as np
import pytest
from tools.services.vlm_calls import KEY

from phybench import Clip
from phybench.video.video_file import write_frames


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Frame n is grey of level 20 n, so that a test can see which frames were sent."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    levels = np.arange(10, dtype=np.uint8) * 20
    frames = np.broadcast_to(levels[:, None, None, None], (10, 48, 96, 3))
    write_frames(path, np.ascontiguousarray(frames), 5.0)
    return Clip(path, "sha", frames=10, fps=5.0, width=96, height=48)
