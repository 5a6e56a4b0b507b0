"""Video files for tests: good ones, and each kind of bad one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phybench.video import write_frames


def write_clip(path: Path, frames: int = 6, size: int = 16, value: int = 90) -> Path:
    pixels = np.full((frames, size, size, 3), value, np.uint8)
    for number in range(frames):
        pixels[number, :, number % size] = 255 - value
    write_frames(path, pixels, 8)
    return path


def write_bad_clip(path: Path, kind: str) -> Path:
    good = write_clip(path.with_name(f"whole-{path.name}"), frames=40, size=64).read_bytes()
    data = {
        "zero bytes": b"",
        "not a video": b"%PDF-1.4 nothing to see",
        "truncated": good[: len(good) // 2],
        "text": b"a ball falls\n" * 100,
    }[kind]
    path.write_bytes(data)
    return path


BAD_KINDS = ("zero bytes", "not a video", "truncated", "text")
