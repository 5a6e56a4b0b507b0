"""One unit of work: what is done once, kept under one key, and handed to one plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phybench.plugins.contracts import Clip, ClipRequest, JudgeRequest
from phybench.prompts.length_budget import Shortening

Act = Literal["refine", "shorten", "generate", "view", "judge"]
"""What a plugin is asked to do; a refiner may be asked for two things."""
Body = str | Shortening | ClipRequest | Clip | JudgeRequest


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work.

    Args:
        key: Content hash of what the result depends on; names the stored clip, too.
        act: What to do; it decides the type of ``body``.
        body: A prompt to refine, a :class:`Shortening` to shorten, a :class:`ClipRequest` to
            generate, a :class:`Clip` to view, or a :class:`JudgeRequest` to judge.
        seed: Seed of a refiner's text; ``None`` for other acts, whose bodies say everything.
    """

    key: str
    act: Act
    body: Body
    seed: int | None = None
