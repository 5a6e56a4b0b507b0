"""What an engine that runs a language model in this process is asked and gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from phybench.plugins.contracts import Failure

Message = Mapping[str, str]
"""One turn of a conversation: ``role`` and ``content``."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    Args:
        temperature: 0 takes the likeliest token; otherwise logits are divided by it.
        top_p: Draw from the smallest set of tokens that holds this share of probability.
        max_new_tokens: Longest completion; one that reaches it is cut.
    """

    temperature: float
    top_p: float
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion.

    Args:
        text: Without special tokens.
        tokens: Tokens generated, the end mark included.
        finished: False if it was cut at ``max_new_tokens``.
    """

    text: str
    tokens: int
    finished: bool


class Engine(Protocol):
    """Completes conversations."""

    def complete(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int]
    ) -> list[Completion | Failure]:
        """Complete each conversation with its seed; one result per conversation, in order."""
        ...


Quantisation = Literal["none", "8bit", "4bit"]
