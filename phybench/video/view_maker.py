"""Making a clip's common view: resampled by time, cut and fitted.

What a view is stands in :mod:`phybench.video.common_view`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from phybench.plugins.contracts import Clip, Failure, PluginInfo
from phybench.video.clip_store import keep
from phybench.video.common_view import VIEWER, View
from phybench.video.video_file import ENCODER, MAX_PIXELS, VideoError, encode_frames, timed_frames

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 4


class Viewer:
    """Makes one view of any clip. It is called as plugins are, so that every executor can run it.

    Args:
        fps: As of :class:`~phybench.video.common_view.View`.
        seconds: Likewise.
        width: Likewise.
        height: Likewise.
    """

    def __init__(
        self,
        fps: float | None = None,
        seconds: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        self.view = View(fps, seconds, width, height)
        self.info = PluginInfo(
            name=str(self.view),
            revision=VIEWER,
            licence="the clip's own",
            fingerprint={"view": str(self.view), "viewer": VIEWER, "encoder": ENCODER},
            max_batch=_BATCH,
        )

    def show(self, clip: Clip, folder: Path, key: str) -> Clip | Failure:
        """Make the view of a clip and store it under its key, as clips are stored.

        Returns:
            The viewed clip, without what is known of the native one (:func:`shown_to_judges` adds
            that), or a failure if the view cannot be made.

        Raises:
            OSError: If the disk refuses the write.
        """
        if clip.path is None:
            return Failure("view", f"There is no video of clip {clip.source!r} to show.")
        source = clip.path
        try:
            return keep(lambda path: _write(path, source, clip, self.view), folder, key)
        except VideoError as error:
            return Failure("view", f"Cannot show this clip as `{self.view}`: {error}")


def shown_to_judges(native: Clip, viewed: Clip, view: View) -> Clip:
    """The viewed clip with what is known of the native one.

    ``meta["view"]`` says which view it is, the native clip's digest and format, and whether the
    clip is shorter than the view's ``seconds``.
    """
    known = {
        "as": str(view),
        "short": _is_short(viewed, view),
        "native_sha256": native.sha256,
        "native": [native.frames, native.fps, native.width, native.height],
    }
    return replace(viewed, source=native.source, meta={**native.meta, "view": known})


def _is_short(viewed: Clip, view: View) -> bool:
    if view.seconds is None:
        return False
    return viewed.frames < math.ceil(round(view.seconds * viewed.fps, 6))


def _write(path: Path, source: Path, clip: Clip, view: View) -> None:
    rate = Fraction(view.fps or clip.fps).limit_denominator(1000)
    canvas = _Canvas(view)
    frames = (canvas.draw(frame) for frame in _chosen(source, clip, view))
    first = next(frames, None)
    if first is None:
        raise VideoError("it holds no frame.")
    height, width = first.shape[:2]
    encode_frames(path, _bounded(first, frames), rate, width, height)


def _bounded(
    first: NDArray[np.uint8], others: Iterator[NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    """The frames, as long as they are one size and no more than a video may have."""
    yield first
    pixels = first.shape[0] * first.shape[1]
    for number, frame in enumerate(others, 2):
        if frame.shape != first.shape:
            raise VideoError(
                f"the picture changes its size to {frame.shape[1]}x{frame.shape[0]}; give `size`."
            )
        if number * pixels > MAX_PIXELS:
            raise VideoError(f"the view would hold more than {MAX_PIXELS} pixels.")
        yield frame


def _chosen(source: Path, clip: Clip, view: View) -> Iterator[av.VideoFrame]:
    """The native frames that the view shows, in order; one may come several times."""
    if view.fps is not None:
        yield from _resampled(source, clip, view, Fraction(view.fps).limit_denominator(1000))
        return
    for time, _, frame in timed_frames(source):
        if view.seconds is not None and time >= view.seconds:
            return
        yield frame


def _resampled(source: Path, clip: Clip, view: View, rate: Fraction) -> Iterator[av.VideoFrame]:
    """At each instant of the view, the frame last shown by then; the last one stays for its time.

    A file's clock is coarse (a millisecond in WebM), so a frame counts from half a tick earlier on.
    """
    held, number, end = None, 0, Fraction(0)
    limit = None if view.seconds is None else Fraction(view.seconds).limit_denominator(1000)
    for time, slack, frame in timed_frames(source):
        while held is not None and number / rate < time - slack:
            yield held
            number += 1
            if limit is not None and number / rate >= limit:
                return
        held, end = frame, time - slack + 1 / Fraction(clip.fps).limit_denominator(100_000)
    while held is not None and number / rate < (end if limit is None else min(end, limit)):
        yield held
        number += 1


class _Canvas:
    """Draws frames at the view's size; as they are where it has none."""

    def __init__(self, view: View) -> None:
        import av

        # One reformatter for all frames: a new one per frame costs more than the decoding.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._view = view

    def draw(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """One frame as an array of shape (height, width, 3), RGB."""
        import numpy as np

        size = self._view.width, self._view.height
        if size[0] is None or size[1] is None:
            if frame.width % 2 or frame.height % 2:
                raise VideoError(
                    f"its size {frame.width}x{frame.height} is odd; give `size` with even sides."
                )
            return self._pixels(frame, frame.width, frame.height)
        width, height = fitted(frame.width, frame.height, size[0], size[1])
        picture = self._pixels(frame, width, height)
        if (width, height) == size:
            return picture
        canvas = np.zeros((size[1], size[0], 3), np.uint8)
        top, left = (size[1] - height) // 2, (size[0] - width) // 2
        canvas[top : top + height, left : left + width] = picture
        return canvas

    def _pixels(self, frame: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        shown = self._reformatter.reformat(
            frame, width, height, format="rgb24", interpolation="BICUBIC", threads=1
        )
        return shown.to_ndarray().astype("uint8", copy=False)


def fitted(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest size of a picture's aspect within a frame, each side at least one pixel."""
    scale = min(Fraction(most_width, width), Fraction(most_height, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
