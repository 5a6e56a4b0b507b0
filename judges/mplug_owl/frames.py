"""The judges' video preprocessing, bit-equal to the original's decord and CLIP processor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phybench.video.frame_sampling import sample_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FRAMES = 32
"""Frames that both judges were trained with."""
# CLIP's normalisation.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def frame_indices(total: int, wanted: int = FRAMES) -> list[int]:
    """The original's indices: evenly spaced, rounded half to even; short clips repeat frames.

    Args:
        total: Frames of the clip, ≥ 1.
        wanted: Frames to take, ≥ 1.
    """
    step = (total - 1) / wanted
    return [int(step / 2) + round(step * index) for index in range(wanted)]


def read_clip(path: Path, size: int, *, expected: int = 0) -> NDArray[np.uint8]:
    """The judge's frames of a clip, squeezed to a square (the aspect ratio is not kept).

    Args:
        path: The video file.
        size: Pixels of the square's side.
        expected: How many frames the clip is known to have; 0 if unknown.

    Returns:
        Shape (32, size, size, 3), uint8 RGB.

    Raises:
        VideoError: If the file cannot be decoded.
    """
    scale = f"{size}:{size}:flags=bilinear"
    return sample_frames(path, frame_indices, scale, expected=expected)[0]


def normalise(frames: NDArray[np.uint8], *, device: str = "cpu") -> Tensor:
    """Frames of shape (T, H, W, 3) to the model's pixels of shape (3, T, H, W), float32."""
    import torch

    pixels = torch.from_numpy(frames).to(device).permute(3, 0, 1, 2).float() / 255
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1, 1) for values in (_MEAN, _STD))
    return (pixels - mean) / std
