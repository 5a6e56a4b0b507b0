"""How much moves in a clip: a policy that asks for still scenes never breaks a law of physics."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from phybench.plugins.contracts import Clip
from phybench.video.video_file import VideoError, read_frames


def motion_of(clip: Clip) -> float | None:
    """Mean absolute difference of neighbouring frames, over all pixels and channels.

    Args:
        clip: The clip.

    Returns:
        0 (nothing changes) to 1; ``None`` without a video that can be read.
    """
    if clip.path is None:
        return None
    try:
        frames, _ = read_frames(clip.path)
    except VideoError:
        return None
    changes = [
        float(np.abs(later.astype(np.int16) - earlier).mean())
        for earlier, later in pairwise(frames)
    ]
    return sum(changes) / (255 * len(changes)) if changes else 0.0
