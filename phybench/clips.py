"""From what a generator returned to a clip that lies safely on disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from phybench.contracts import Clip, Failure, Frames, NoVideo, VideoFile
from phybench.digest import file_digest, text_digest
from phybench.video import VideoError, probe, write_frames

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
    if isinstance(made, VideoFile) and not made.move:
        return _described(made.path, made)
    target = folder / key[:2] / f"{key}.mp4"
    temporary = folder / TEMPORARY / f"{key[:16]}-{uuid4().hex[:8]}.mp4"
    for parent in (target.parent, temporary.parent):
        parent.mkdir(exist_ok=True)
    try:
        if isinstance(made, Frames):
            write_frames(temporary, made.frames, made.fps)
        else:
            shutil.copyfile(made.path, temporary)
        clip = _described(temporary, made)
        if isinstance(clip, Failure):
            return clip
        # The file is on disk before it has its name; a name lost to a power cut is a cache miss.
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if isinstance(made, VideoFile):
        made.path.unlink(missing_ok=True)
    return replace(clip, path=target.absolute())


def _described(path: Path, made: Frames | VideoFile) -> Clip | Failure:
    try:
        found = probe(path)
    except VideoError as error:
        return Failure("decode", str(error))
    source = made.source if isinstance(made, VideoFile) else ""
    return Clip(
        path.absolute(),
        file_digest(path),
        source,
        found.frames,
        found.fps,
        found.width,
        found.height,
        made.meta,
    )
