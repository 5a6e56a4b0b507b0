"""The video settings of one clip, and the refusals that generators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phybench.plugins.contracts import Failure, VideoSettings


@dataclass(frozen=True, slots=True)
class Video:
    """The video settings of one call, with nothing left open: frames, fps, pixels."""

    frames: int
    fps: float
    width: int
    height: int

    def settings(self) -> VideoSettings:
        """The same as the harness's type."""
        return VideoSettings(self.frames, self.fps, self.width, self.height)


def resolve_video(asked: VideoSettings, native: Video) -> Video:
    """The run's wishes, and the native value where it has none."""
    return Video(
        asked.frames or native.frames,
        asked.fps or native.fps,
        asked.width or native.width,
        asked.height or native.height,
    )


def over_budget_failure(name: str, tokens: int, budget: int) -> Failure:
    """The refusal of a prompt that the text encoder would cut."""
    return Failure(
        "over_budget",
        f"Expected a prompt of at most {budget} tokens for `{name}`, but got {tokens}. Shorten it, "
        "or set `over_budget=truncate` to let the model see its beginning only.",
    )


def over_budget_texts(name: str, counts: Sequence[int], budget: int | None) -> list[str]:
    """The problem of a plan whose known texts the text encoder would cut, if there is one."""
    above = sum(count > budget for count in counts) if budget else 0
    if not above:
        return []
    return [
        f"{above} of {len(counts)} texts are longer than the {budget} tokens that `{name}` reads. "
        "Shorten them, or set `over_budget=truncate` to let the model see their beginning only."
    ]


def playback_only(name: str, native: float, asked: float) -> str:
    """Why a model that is not told the frame rate keeps its own."""
    return (
        f"Expected `fps` of `{name}` to be {native:g}, but got {asked:g}: the model is not told "
        "the frame rate, so another one would play its motion at a wrong speed. Use a common view "
        "for judging instead."
    )
