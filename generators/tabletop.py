"""The simulated text-to-video model: it renders what it understood, and breaks laws by a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from phybench.plugins.contracts import ClipRequest, Failure, Frames, PluginInfo, VideoSettings
from phybench.tabletop.fingerprint import WORLD, world_digest

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun
    from phybench.tabletop.world.simulate import Trajectory

NATIVE = VideoSettings(frames=17, fps=8.0, width=64, height=64)
"""What it makes if nothing else is asked for: two seconds."""
LEAST_SIDE, MOST_SIDE = 32, 256
LEAST_FPS, MOST_FPS = 4.0, 24.0
MOST_FRAMES = 241
"""Ten seconds at the highest frame rate."""
PROMPT_BUDGET = 512
"""Words it reads; the rest is cut off."""


class Tabletop:
    """Draws coloured shapes and liquids that obey physics, or not: see ``docs/tabletop.md``.

    How often it breaks which law, and how texts change that, is an invented table
    (:mod:`phybench.tabletop.texts.failure_law`); its numbers say nothing about real models.
    """

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="tabletop",
            revision="1",
            licence="Apache-2.0",
            fingerprint=_fingerprint(),
            simulated=True,
            max_batch=16,
            video=NATIVE,
            prompt_budget=PROMPT_BUDGET,
        )

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Words of each text: this model's tokens."""
        from phybench.tabletop.texts.language import count_words

        return [count_words(text) for text in texts]

    def check(self, plan: PlannedRun) -> Sequence[str]:
        """Video settings of a plan that this world cannot draw."""
        fps, width, height = _settings(plan.settings)
        problem = _problem(plan.settings.frames, fps, width, height)
        return [f"tabletop: {problem}"] if problem else []

    def generate(self, requests: Sequence[ClipRequest]) -> Sequence[Frames | Failure]:
        """Make one clip per request; equal text, seed and settings give equal bytes.

        Returns:
            Frames with the ground truth under ``meta["truth"]``, or a :class:`Failure` of kind
            ``settings`` for settings outside 32..256 pixels (even), 4..24 fps and 2..241 frames.
        """
        return [_clip(request) for request in requests]


def _clip(request: ClipRequest) -> Frames | Failure:
    fps, width, height = _settings(request.settings)
    frames = request.settings.frames
    problem = _problem(frames, fps, width, height)
    if problem:
        return Failure("settings", problem)
    from phybench.tabletop.drawing.clips import truth
    from phybench.tabletop.drawing.render import render
    from phybench.tabletop.texts.imagine import imagine, requested
    from phybench.tabletop.world.simulate import clip_times, simulate

    imagined = imagine(request.text, request.seed)
    trajectory: Trajectory = simulate(imagined.scene, clip_times(frames, fps))
    known = truth(trajectory)
    known["requested"] = requested(imagined.understanding)
    known["lapses"] = list(imagined.lapses)
    pixels = render(trajectory, width=width, height=height)
    return Frames(pixels, fps, meta={"truth": known})


def _settings(wishes: VideoSettings) -> tuple[float, int, int]:
    """Frame rate, width and height as wished for, completed."""
    fps = wishes.fps if wishes.fps is not None else 8.0
    width = wishes.width if wishes.width is not None else wishes.height or 64
    height = wishes.height if wishes.height is not None else width
    return fps, width, height


def _problem(frames: int | None, fps: float, width: int, height: int) -> str:
    for name, side in (("width", width), ("height", height)):
        if not LEAST_SIDE <= side <= MOST_SIDE or side % 2:
            return (
                f"Expected `{name}` to be an even number of pixels in {LEAST_SIDE}..{MOST_SIDE}, "
                f"but got {side}."
            )
    if not LEAST_FPS <= fps <= MOST_FPS:
        return f"Expected `fps` to be in {LEAST_FPS:g}..{MOST_FPS:g}, but got {fps:g}."
    if frames is not None and not 2 <= frames <= MOST_FRAMES:
        return f"Expected `frames` to be in 2..{MOST_FRAMES}, but got {frames}."
    return ""


def _fingerprint() -> Mapping[str, Any]:
    return {
        "source": world_digest(WORLD),
        "pymunk": metadata.version("pymunk"),
        "numpy": metadata.version("numpy"),
    }
