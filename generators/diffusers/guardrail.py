"""The safety checker that some models' licences require, told apart from a broken pipeline.

NVIDIA's Cosmos pipelines ask `cosmos_guardrail` about each prompt and each clip. A refused prompt
ends the call with a ``ValueError``; a refused clip becomes ``None`` and breaks the code after it.
Neither says in a way that can be relied on that the guardrail said no, so it is listened to here.
It is never left out: the licence ends with it.
"""

from __future__ import annotations

from typing import Any


class BlockedError(Exception):
    """A prompt or clip that the guardrail refused.

    Args:
        kind: ``refused_input`` or ``refused_output``, as for hosted services.
    """

    def __init__(self, kind: str) -> None:
        what = "prompt" if kind == "refused_input" else "clip"
        super().__init__(f"The model's guardrail refused the {what}.")
        self.kind = kind


def listen(checker: Any) -> None:
    """Have a checker's refusals raised as :class:`BlockedError`.

    Args:
        checker: A ``CosmosSafetyChecker``; it stays the object that the pipeline knows.
    """
    check_text, check_video = checker.check_text_safety, checker.check_video_safety

    def heard_text(prompt: str) -> bool:
        if not check_text(prompt):
            raise BlockedError("refused_input")
        return True

    def heard_video(frames: Any) -> Any:
        checked = check_video(frames)
        if checked is None:
            raise BlockedError("refused_output")
        return checked

    checker.check_text_safety, checker.check_video_safety = heard_text, heard_video
