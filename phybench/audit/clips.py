"""Where intact clips come from, and how changed ones get to the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from phybench.audit.regions import Frames
from phybench.errors import ConfigError
from phybench.plugins.contracts import Clip, ClipRequest, JudgeRequest, VideoFile
from phybench.video.clip_store import store_clip
from phybench.video.video_file import VideoError, read_frames

NORMAL_CRF, COARSE_CRF = 12, 28
_TRIES = 12


@dataclass(frozen=True, slots=True)
class Intact:
    """A clip that is as it should be.

    Args:
        name: Names it in messages.
        prompt: The user's prompt.
        frames: Shape (T, H, W, 3), uint8 RGB.
        fps: Frames per second.
    """

    name: str
    prompt: str
    frames: Frames
    fps: float


@dataclass(frozen=True, slots=True)
class BrokenPair:
    """An intact clip and one that breaks a law, of the same scene."""

    intact: Intact
    broken: Frames
    violation: str


def from_table(path: Path, root: Path | None = None, limit: int | None = None) -> list[Intact]:
    """Clips of a table or folder, as ``phybench score`` reads them.

    Raises:
        ConfigError: If the table cannot be read, has no prompts, or no clip can be decoded.
    """
    from phybench.running.clip_table import load_clips

    table = load_clips(path, root)
    if not table.captions:
        raise ConfigError(f"Expected prompts in {str(path)!r}: an audit judges SA too.")
    found = []
    for request in table.requests[:limit]:
        if isinstance(request, JudgeRequest) and request.clip.path is not None:
            try:
                frames, fps = read_frames(request.clip.path)
            except VideoError:
                continue
            found.append(Intact(request.clip.source, request.prompt, frames, fps))
    if not found:
        raise ConfigError(f"Expected clips that can be decoded in {str(path)!r}, but none can.")
    return found


def from_tabletop(count: int, seed: int = 0) -> list[Intact]:
    """Lawful clips of the embedded world that show what their prompt asks for."""
    from phybench.plugins.contracts import Frames as Generated
    from phybench.plugins.registry import create
    from phybench.prompts.prompt_sets import load_prompts

    generator, oracle = create("generator", "tabletop"), create("judge", "oracle")
    prompts = load_prompts("tabletop-test").prompts
    found: list[Intact] = []
    for number in range(count * _TRIES):
        prompt = prompts[number % len(prompts)]
        made = generator.generate([ClipRequest(prompt.text, seed + number)])[0]
        if not isinstance(made, Generated):
            continue
        clip = Clip(None, prompt.id, meta=made.meta)
        score = oracle.score([JudgeRequest(clip, prompt.text)])[0]
        if score.sa is not None and score.sa >= 4 and score.pc >= 4:
            found.append(Intact(f"{prompt.id}/{number}", prompt.text, made.frames, made.fps))
        if len(found) == count:
            break
    return found


def tabletop_violations(per_violation: int, seed: int = 0) -> Iterator[BrokenPair]:
    """Every violation of the embedded world beside the lawful clip of the same scene."""
    from phybench.prompts.prompt_sets import load_prompts
    from phybench.tabletop.drawing.clips import draw
    from phybench.tabletop.world.violations import BREACHES

    texts: dict[str, str] = {}
    for prompt in load_prompts("tabletop-test").prompts:
        texts.setdefault(prompt.meta["family"], prompt.text)
    for breach in BREACHES:
        made = 0
        for number in range(seed, seed + per_violation * _TRIES):
            broken, truth = draw(breach.family, number, breach.violation)
            if truth["lawful"]:
                continue
            lawful, _ = draw(breach.family, number)
            name = f"{breach.family}/{number}"
            yield BrokenPair(
                Intact(name, texts[breach.family], lawful, 8.0), broken, breach.violation
            )
            made += 1
            if made == per_violation:
                break


def stored(frames: Frames, fps: float, folder: Path, name: str, crf: int = NORMAL_CRF) -> Clip:
    """Write frames as a file and describe it as judges receive it.

    Raises:
        ConfigError: If the file that was written cannot be decoded.
    """
    path = folder / f"{name}.mp4"
    _encode(path, frames, fps, crf)
    clip = store_clip(VideoFile(path, move=False), folder, name)
    if not isinstance(clip, Clip):
        raise ConfigError(f"Cannot write clips to {str(folder)!r}: {clip.message}")
    return clip


def _encode(path: Path, frames: Frames, fps: float, crf: int) -> None:
    import av

    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        # x264's own preset, as whoever re-encodes a clip and says only CRF gets it.
        stream.options = {"crf": str(crf), "threads": "1"}
        for frame in even:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def swapped_prompts(clips: Sequence[Intact]) -> list[str]:
    """For each clip a prompt that asks for something else: the one half the list away."""
    half = max(1, len(clips) // 2)
    found = []
    for number, clip in enumerate(clips):
        others = (clips[(number + half + step) % len(clips)].prompt for step in range(len(clips)))
        found.append(next((text for text in others if text != clip.prompt), ""))
    return found
