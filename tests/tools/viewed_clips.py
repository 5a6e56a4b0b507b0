"""Clips whose frames can be told apart, and views of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from phybench import Clip
from phybench.video.clip_store import described
from phybench.video.common_view import parse_view
from phybench.video.video_file import read_frames, write_frames
from phybench.video.view_maker import Viewer

PAPER = "fps=4,seconds=6,size=720x480"


STEP = 5
"""Grey levels between neighbouring frames: far more than the encoder changes."""


def counted_clip(path: Path, frames: int, fps: float, size: tuple[int, int] = (32, 32)) -> Clip:
    """A clip whose frame n has the grey level 5 n."""
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.uint8(STEP)
    write_frames(path, np.broadcast_to(levels, (frames, size[1], size[0], 3)).copy(), fps)
    clip = described(path)
    assert isinstance(clip, Clip)
    return clip


def shown(clip: Clip, view: str, folder: Path) -> Clip:
    folder.mkdir(exist_ok=True)
    viewer = Viewer(**parse_view(view).options())
    key = hashlib.sha256(f"{clip.sha256} {view}".encode()).hexdigest()
    made = viewer.show(clip, folder, key)
    assert isinstance(made, Clip), made
    return made


def levels(clip: Clip) -> list[int]:
    """Which native frame each frame of the view is."""
    assert clip.path is not None
    frames, _ = read_frames(clip.path)
    return [round(float(frame.mean()) / STEP) for frame in frames]
