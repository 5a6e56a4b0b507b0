"""From what a generator returned to a clip that lies safely on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from phybench.machine.digest import file_digest, text_digest
from phybench.plugins.contracts import Clip, Failure, Frames, NoVideo, VideoFile
from phybench.video.video_file import VideoError, probe, write_frames

TEMPORARY = "tmp"
"""Sub-folder of clips under way; what a killed process left there is swept by the cache."""


def store_clip(made: Frames | VideoFile | NoVideo, folder: Path, key: str) -> Clip | Failure:
    """Store a generated video under its key: temporary name, decoded once, then renamed.

    Args:
        made: What the generator returned.
        folder: The cache's clip folder.
        key: Content hash of the unit; becomes the file's name, so no text ever does.

    Returns:
        The clip, or a failure if the video cannot be decoded.

    Raises:
        OSError: If the disk refuses the write.
    """
    if isinstance(made, NoVideo):
        return Clip(None, text_digest(made.source), made.source, meta=made.meta)
    if isinstance(made, Frames):
        clip = keep(lambda path: write_frames(path, made.frames, made.fps), folder, key)
        return clip if isinstance(clip, Failure) else replace(clip, meta=made.meta)
    if made.move:
        clip = keep(lambda path: shutil.copyfile(made.path, path), folder, key)
        if isinstance(clip, Clip):
            made.path.unlink(missing_ok=True)
    else:
        clip = described(made.path)
    return clip if isinstance(clip, Failure) else replace(clip, source=made.source, meta=made.meta)


def keep(write: Callable[[Path], object], folder: Path, key: str) -> Clip | Failure:
    """Write a video to a temporary name, decode it once, then give it its name.

    Args:
        write: Writes the video to the path it is given.
        folder: The cache's clip folder.
        key: Content hash of the unit.

    Returns:
        The clip, or a failure if the video cannot be decoded.

    Raises:
        OSError: If the disk refuses the write.
    """
    target = folder / key[:2] / f"{key}.mp4"
    temporary = folder / TEMPORARY / f"{key[:16]}-{uuid4().hex[:8]}.mp4"
    for parent in (target.parent, temporary.parent):
        parent.mkdir(exist_ok=True)
    try:
        write(temporary)
        clip = described(temporary)
        if isinstance(clip, Failure):
            return clip
        # The file is on disk before it has its name; a name lost to a power cut is a cache miss.
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return replace(clip, path=target.absolute())


def described(path: Path) -> Clip | Failure:
    """A video file as a clip of which nothing else is known, or why it cannot be one."""
    try:
        found = probe(path)
    except VideoError as error:
        return Failure("decode", str(error))
    return Clip(
        path.absolute(),
        file_digest(path),
        frames=found.frames,
        fps=found.fps,
        width=found.width,
        height=found.height,
    )
