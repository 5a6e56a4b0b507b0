"""From a pipeline's floating-point pixels to a clip, refusing what is no picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phybench.plugins.contracts import Failure, Frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def to_frames(
    pixels: NDArray[np.floating[Any]], frames: int, fps: float, *, truncate: bool = False
) -> Frames | Failure:
    """Bring pixels to 8 bits.

    Args:
        pixels: Array of shape (T, H, W, 3) with values in [0, 1].
        frames: Number of frames that was asked for.
        fps: Frames per second.
        truncate: Whether to cut fractions off, as some published samplers do, instead of rounding.

    Returns:
        The clip; or a failure if the pipeline made another number of frames, not-a-number, or a
        clip of one single colour, which are the known signs of a wrong precision or tile size.
    """
    import numpy as np

    if len(pixels) != frames:
        return Failure("frames", f"Expected {frames} frames, but the pipeline made {len(pixels)}.")
    if not np.isfinite(pixels).all():
        return Failure("nan", "The pixels are not numbers: the precision is too low for the model.")
    scaled = np.clip(pixels, 0.0, 1.0) * 255.0
    levels = (np.floor(scaled) if truncate else np.rint(scaled)).astype(np.uint8)
    if levels.min() == levels.max():
        return Failure("blank", f"Every pixel of the clip has the same value {levels.min()}.")
    return Frames(levels, fps)
