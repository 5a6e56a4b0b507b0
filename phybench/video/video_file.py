"""Reading and writing video files with PyAV; PyAV and NumPy are imported on use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 2**34
"""Refuse clips of more decoded pixels than this (about 17 gigapixels: 2 h of 720p at 2.6 fps)."""
ENCODER = "libx264-superfast-yuv420p-crf12"
"""Names how frames become files; part of every clip's key, so that a change re-encodes."""
_CRF = "12"


class VideoError(ValueError):
    """A file that cannot be read as a video, with the reason."""


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What a video file holds.

    Args:
        frames: Frames that decode.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.
    """

    frames: int
    fps: float
    width: int
    height: int


def write_frames(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Encode frames as H.264 and flush the file to disk.

    One encoder thread and fixed settings: equal frames give equal bytes on one build of FFmpeg.

    Args:
        path: Where to write; must end in ``.mp4``.
        frames: Array of shape (T, H, W, 3), uint8 RGB, H and W even.
        fps: Frames per second, > 0.

    Raises:
        ValueError: If the array is not such frames or fps is not positive.
    """
    _check_frames(frames, fps)
    encode_frames(path, frames, Fraction(fps).limit_denominator(1000), *frames.shape[2:0:-1])


def encode_frames(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: Fraction, width: int, height: int
) -> None:
    """Encode frames one by one, as :func:`write_frames` does, without holding them all.

    Args:
        path: Where to write; must end in ``.mp4``.
        frames: Arrays of shape (height, width, 3), uint8 RGB.
        fps: Frames per second, > 0.
        width: Pixels, even.
        height: Pixels, even.
    """
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": _CRF, "preset": "superfast", "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _check_frames(frames: NDArray[np.uint8], fps: float) -> None:
    if frames.dtype.name != "uint8" or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(
            "Expected `frames` to be uint8 of shape (T, H, W, 3), "
            f"but got {frames.dtype} of shape {frames.shape}."
        )
    if frames.shape[0] < 1 or frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(
            f"Expected at least one frame of even height and width, but got shape {frames.shape}."
        )
    if not fps > 0:
        raise ValueError(f"Expected `fps` to be > 0, but got {fps}.")


def read_frames(path: Path) -> tuple[NDArray[np.uint8], float]:
    """Decode a whole video.

    Returns:
        Frames of shape (T, H, W, 3), uint8 RGB, and the frames per second.

    Raises:
        VideoError: If the file is no video, holds no frame, has no usable frame rate or is larger
            than :data:`MAX_PIXELS`.
    """
    import av
    import numpy as np

    try:
        with av.open(str(path)) as container:
            stream, fps = _video_stream(container, path)
            stream.thread_count = 1
            # One reformatter for all frames: a new one per frame costs more than the decoding.
            reformatter = av.video.reformatter.VideoReformatter()
            frames, pixels = [], 0
            for frame in container.decode(stream):
                pixels += frame.width * frame.height
                _check_size(pixels, path)
                frames.append(reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray())
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"Cannot read {path.name!r} as a video: {error}.") from error
    _check_count(len(frames), stream.frames, path)
    return np.stack(frames), fps


def timed_frames(path: Path) -> Iterator[tuple[Fraction, Fraction, av.VideoFrame]]:
    """Decode a video frame by frame.

    Yields:
        Seconds since the first frame, by how much the file's clock may be off (half a tick, s),
        and the frame.

    Raises:
        VideoError: As :func:`read_frames`.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream, fps = _video_stream(container, path)
            stream.thread_count = 1
            rate = Fraction(fps).limit_denominator(100_000)
            first, pixels = None, 0
            for number, frame in enumerate(container.decode(stream)):
                pixels += frame.width * frame.height
                _check_size(pixels, path)
                if frame.pts is None or frame.time_base is None:
                    yield number / rate, Fraction(0), frame
                    continue
                first = frame.pts if first is None else first
                tick = Fraction(frame.time_base)
                yield (frame.pts - first) * tick, tick / 2, frame
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"Cannot read {path.name!r} as a video: {error}.") from error


def peek(path: Path) -> VideoProbe:
    """Open a video and decode its first frame: a quick look before a long run.

    Returns:
        What the file's header says; ``frames`` is 0 where it does not say.

    Raises:
        VideoError: If there is no first frame or the header promises too many pixels.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream, fps = _video_stream(container, path)
            first = next(container.decode(stream), None)
            if first is None:
                raise VideoError(f"Expected {path.name!r} to hold frames, but it holds none.")
            _check_size(first.width * first.height * max(stream.frames, 1), path)
            return VideoProbe(stream.frames, fps, first.width, first.height)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"Cannot read {path.name!r} as a video: {error}.") from error


def probe(path: Path) -> VideoProbe:
    """Decode a video without keeping its frames, to learn that it can be judged.

    Raises:
        VideoError: As :func:`read_frames`.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream, fps = _video_stream(container, path)
            stream.thread_count = 1
            count = pixels = width = height = 0
            for frame in container.decode(stream):
                width, height = frame.width, frame.height
                pixels += width * height
                _check_size(pixels, path)
                count += 1
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"Cannot read {path.name!r} as a video: {error}.") from error
    _check_count(count, stream.frames, path)
    return VideoProbe(count, fps, width, height)


def _video_stream(
    container: av.container.InputContainer, path: Path
) -> tuple[av.video.stream.VideoStream, float]:
    if not container.streams.video:
        raise VideoError(f"Expected {path.name!r} to hold a video stream, but it has none.")
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate
    # Without a rate and without two moments to reckon one from, FFmpeg names its clock's tick.
    invented = (
        not stream.average_rate and rate and stream.time_base and rate * stream.time_base == 1
    )
    if not rate or rate <= 0 or invented:
        raise VideoError(
            f"Expected {path.name!r} to have a frame rate above 0, but it has none. Encode it "
            "again with one."
        )
    return stream, float(rate)


def _check_count(decoded: int, promised: int, path: Path) -> None:
    """A cut-off file often decodes without an error, to fewer frames than its header promises."""
    if not decoded:
        raise VideoError(f"Expected {path.name!r} to hold frames, but none could be decoded.")
    if decoded < promised:
        raise VideoError(
            f"Expected {promised} frames in {path.name!r}, as its header says, but only {decoded} "
            "could be decoded. The file is cut off or damaged."
        )


def _check_size(pixels: int, path: Path) -> None:
    if pixels > MAX_PIXELS:
        raise VideoError(
            f"Expected {path.name!r} to decode to at most {MAX_PIXELS} pixels; it has more. "
            "Cut or shrink it first."
        )
