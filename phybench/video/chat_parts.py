"""A clip as parts of a chat message."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from phybench.plugins.contracts import Clip
from phybench.video.frame_sampling import sample_frames, spread
from phybench.video.video_file import VideoError, probe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MediaForm = Literal["images", "frames", "video"]
VERSION = "1"
MAX_VIDEO_BYTES = 64 * 2**20
"""Longest file sent as it is."""
_CRF = "28"
"""Quality of a re-encoded clip, as PhyJudge's published evaluation has it."""


class Media(BaseModel):
    """How a clip travels.

    Args:
        form: ``images``: sampled frames as images (any service). ``frames``: sampled frames as one
            video part with their times (vLLM only). ``video``: the file, sampled by the server.
        frames: Frames to sample, for ``images`` and ``frames``.
        size: Longest side in pixels of what is sent; smaller frames stay as they are.
        quality: JPEG quality of sampled frames.
        height: For ``video``: re-encode to this height first (H.264, no sound); ``None`` sends the
            file as it is.
        first: Whether the clip comes before the question's text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: MediaForm
    frames: int = Field(default=16, ge=1, le=768)
    size: int = Field(default=448, ge=16, le=4096)
    quality: int = Field(default=90, ge=1, le=100)
    height: int | None = Field(default=None, ge=16)
    first: bool = True


@dataclass(frozen=True, slots=True)
class ClipParts:
    """A clip ready to be sent.

    Args:
        parts: Content parts of the user's message.
        body: Fields that the request needs beside them.
    """

    parts: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]


def clip_parts(clip: Clip, path: Path, media: Media) -> ClipParts:
    """Prepare a clip as `media` wants it.

    Args:
        clip: The clip, for its frame count and rate.
        path: Its file.
        media: The form.

    Raises:
        VideoError: If the file cannot be decoded or is too large.
    """
    if media.form == "video":
        data = path.read_bytes() if media.height is None else _shrunk(path, media.height)
        if len(data) > MAX_VIDEO_BYTES:
            raise VideoError(
                f"Expected {path.name!r} to be at most {MAX_VIDEO_BYTES // 2**20} MiB; set "
                "`height` to re-encode it."
            )
        return ClipParts([_video_part("mp4", _base64(data))], {})
    frames, indices = sampled(clip, path, media)
    images = [_base64(_jpeg(frame, media.quality)) for frame in frames]
    if media.form == "images":
        return ClipParts([_image_part(image) for image in images], {})
    return ClipParts([_video_part("jpeg", ",".join(images))], _frame_times(clip, path, indices))


def sampled(clip: Clip, path: Path, media: Media) -> tuple[NDArray[np.uint8], list[int]]:
    """Frames spread over the clip, shrunk to the asked size, and their indices."""
    box = f"w=min({media.size}\\,iw):h=min({media.size}\\,ih)"
    fit = "force_original_aspect_ratio=decrease:force_divisible_by=2:flags=bicubic"
    return sample_frames(path, spread(media.frames), f"{box}:{fit}", expected=clip.frames)


def _frame_times(clip: Clip, path: Path, indices: Sequence[int]) -> dict[str, Any]:
    # Without these numbers vLLM keeps the first 32 frames and takes them for seconds.
    total, fps = (clip.frames, clip.fps) if clip.frames and clip.fps else _probed(path)
    times = {
        "num_frames": -1,
        "fps": fps,
        "frames_indices": list(indices),
        "total_num_frames": total,
        "duration": total / fps,
    }
    return {"media_io_kwargs": {"video": times}}


def _probed(path: Path) -> tuple[int, float]:
    found = probe(path)
    return found.frames, found.fps


def _image_part(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def _video_part(kind: str, data: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": f"data:video/{kind};base64,{data}"}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _jpeg(frame: NDArray[np.uint8], quality: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def _shrunk(path: Path, height: int) -> bytes:
    """The clip re-encoded to a height, without sound."""
    import av

    file = io.BytesIO()
    try:
        with av.open(str(path)) as source, av.open(file, "w", format="mp4") as target:
            if not source.streams.video:
                raise VideoError(f"Expected {path.name!r} to hold a video stream; it has none.")
            stream = source.streams.video[0]
            width = round(stream.width * height / stream.height / 2) * 2
            rate = stream.average_rate or stream.guessed_rate
            if not rate:
                raise VideoError(f"Expected {path.name!r} to have a frame rate; it has none.")
            output = target.add_stream("libx264", rate=rate)
            output.width, output.height, output.pix_fmt = width, height, "yuv420p"
            output.options = {"crf": _CRF, "threads": "1"}
            for index, frame in enumerate(source.decode(stream)):
                scaled = frame.reformat(width, height, "yuv420p")
                scaled.pts, scaled.time_base = index, 1 / rate
                target.mux(output.encode(scaled))
            target.mux(output.encode())
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"Cannot re-encode {path.name!r}: {error}.") from error
    return file.getvalue()
