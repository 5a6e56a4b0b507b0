"""PhyPrompt's chain of thought: how it is written, and how it is read back.

PhyPrompt is trained on (prompt, physical law, reasoning, physics-aware prompt): the model first
reasons about the physics, then writes the prompt (arXiv 2603.03505, section on stage 1). The paper
does not publish the wording, so this format is ours: six labelled lines, each on one line,

    Law: ...
    Motion: ...
    Forces: ...
    Materials: ...
    Environment: ...
    Prompt: ...

Training writes it and inference reads it with the functions below, so the two cannot drift apart.
Reading is strict. A reply that is not exactly this is an error: passing on whatever stands after
the last label would hand reasoning to the generator.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, fields

FORMAT_VERSION = 1
"""Changes whenever :func:`write_chain` or :func:`parse` does.

It is part of checkpoints and fingerprints.
"""


class ReasoningFormatError(ValueError):
    """A text that is not a chain of thought in our format, with the reason."""


@dataclass(frozen=True, slots=True)
class ChainOfThought:
    """The physics of a prompt, thought through, and the prompt that follows from it.

    Every field is one non-empty line without surrounding space.

    Args:
        law: The physical laws in play.
        motion: What moves, how, from where to where.
        forces: What pushes, pulls or holds, and what follows from it.
        materials: What things are made of and how that shows.
        environment: Surfaces, air, water, light around the event.
        prompt: The prompt for the video generator.

    Raises:
        ReasoningFormatError: If a field is empty, holds a line break or surrounding space, or the
            prompt holds one of the format's labels (reasoning that slipped into the prompt).
    """

    law: str
    motion: str
    forces: str
    materials: str
    environment: str
    prompt: str

    def __post_init__(self) -> None:
        for label, value in zip(LABELS, astuple(self), strict=True):
            if not value.strip():
                raise ReasoningFormatError(f"Expected text after `{label}:`, but it is empty.")
            if value != value.strip() or len(value.splitlines()) > 1:
                raise ReasoningFormatError(
                    f"Expected `{label}` to be one line without surrounding space, "
                    f"but got {value!r}."
                )
        leaked = _LABEL.search(self.prompt)
        if leaked:
            raise ReasoningFormatError(
                f"Expected the prompt to hold no reasoning, but it holds `{leaked.group()}`."
            )

    @property
    def reasoning(self) -> str:
        """The five lines before the prompt."""
        return write_chain(self).rpartition("\n")[0]


LABELS = tuple(field.name.capitalize() for field in fields(ChainOfThought))
"""The labels in the order in which they must appear."""
_LABEL = re.compile(rf"\b(?:{'|'.join(LABELS)}):")


def write_chain(chain: ChainOfThought) -> str:
    """The text that the model is trained to reply with; :func:`parse` reads it back."""
    lines = zip(LABELS, astuple(chain), strict=True)
    return "\n".join(f"{label}: {value}" for label, value in lines)


def parse(reply: str) -> ChainOfThought:
    """Read a model's whole reply.

    Raises:
        ReasoningFormatError: If a line is missing, empty, twice there, out of order or not ours.
    """
    lines = reply.strip().split("\n")
    if len(lines) != len(LABELS):
        raise ReasoningFormatError(
            f"Expected {len(LABELS)} lines ({', '.join(LABELS)}), but got {len(lines)}."
        )
    return ChainOfThought(*(_value(label, line) for label, line in zip(LABELS, lines, strict=True)))


def _value(label: str, line: str) -> str:
    found, colon, value = line.partition(":")
    if found != label or not colon:
        raise ReasoningFormatError(f"Expected a line `{label}: …`, but got {line[:60]!r}.")
    return value.strip()
