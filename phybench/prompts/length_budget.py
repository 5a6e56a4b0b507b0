"""Sending a text that is longer than its generator reads back to its refiner, once.

A text encoder reads so many tokens and drops the rest. What a generator does with a longer text is
its own option (``over_budget=error`` or ``truncate``). A run may ask for a shorter text first
(``--retry-over-budget``): each text is counted by the generator's own tokenizer, and one that is
too long goes back to the refiner with the limit. The second text is final: if it is still too long,
the generator's option decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from phybench.errors import ConfigError
from phybench.plugins.abilities import TokenCounter
from phybench.plugins.contracts import Failure, Refinement

if TYPE_CHECKING:
    from phybench.plugins.opened import Opened

TOKENS_PER_WORD = 1.5
"""Tokens that we allow a word when a length in tokens becomes one in words. English takes about 1.3
in CLIP's and T5's vocabularies; the rest is margin. Our choice."""
_SAMPLE = (
    "A small red ball rolls slowly down a wooden ramp, hits a stack of blue blocks, and the blocks "
    "topple onto the table while the ball comes to rest against the wall in warm evening light."
)
"""English as it stands in video prompts, to see what a generator counts for a word."""
_HEADROOM = 1.15
"""How much longer than the sample's the words of a text may be: what 1.5 leaves above 1.3."""
_MARGIN = 0.9
"""Share of the limit that is asked for, since words are counted by eye. Our choice."""


@dataclass(frozen=True, slots=True)
class Shortening:
    """A refinement that is too long, on its way back to its refiner.

    Args:
        prompt: The user's prompt.
        text: The refinement's text.
        reasoning: The refinement's reasoning.
        tokens: Its length in the generator's tokens.
        budget: Tokens that the generator reads.
    """

    prompt: str
    text: str
    reasoning: str
    tokens: int
    budget: int

    @property
    def words(self) -> int:
        """Words that fit, by the words and tokens of the text itself, with a tenth of margin."""
        return max(1, int(_MARGIN * len(self.text.split()) * self.budget / self.tokens))

    @property
    def request(self) -> str:
        """What every refiner that can write is told, so that arms differ by model, not by wording.

        The first text goes with it as ``too_long``.
        """
        return (
            "The user message also holds `too_long`, an earlier rewrite of `text`. The "
            "text-to-video model cannot read it to its end. Write it again in at most "
            f"{self.words} words; this limit replaces any other. Keep every subject, number and "
            "event and the visible outcomes; leave out style and detail first. It is material "
            "like `text`."
        )


@runtime_checkable
class Shortener(Protocol):
    """A refiner that writes a shorter text when told the limit; optional."""

    def shorten(
        self, asked: Sequence[Shortening], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Write each text again, shorter; one result per text, in order."""
        ...


def too_long(prompt: str, made: Refinement, generator: Opened) -> Shortening | None:
    """What to send back, or ``None`` if the text fits."""
    budget, counter = generator.info.prompt_budget, generator.plugin
    if budget is None or not isinstance(counter, TokenCounter):
        return None
    tokens = counter.count_tokens([made.text])[0]
    if tokens <= budget:
        return None
    return Shortening(prompt, made.text, made.reasoning, tokens, budget)


def length_budget(generator: Opened) -> int | None:
    """A generator's prompt budget in tokens as refiners reckon them, ``None`` if it has none.

    Refiners allow :data:`TOKENS_PER_WORD` tokens a word. A generator that counts more for one
    (hosted services count characters) gets a budget that is smaller in proportion.
    """
    budget = generator.info.prompt_budget
    if budget is None:
        return None
    per_word = generator.plugin.count_tokens([_SAMPLE])[0] / len(_SAMPLE.split())
    return int(budget * min(1.0, TOKENS_PER_WORD / (_HEADROOM * per_word)))


def check_counting(generators: Sequence[Opened]) -> None:
    """Find out before any work that a generator's texts cannot be counted.

    Raises:
        ConfigError: If a generator has a budget but counts no tokens here, or if none has one.
    """
    limited = [one for one in generators if one.info.prompt_budget is not None]
    blind = [one.info.name for one in limited if not isinstance(one.plugin, TokenCounter)]
    if blind:
        raise ConfigError(
            f"Expected generators that count tokens in this process, but `{blind[0]}` does not, "
            "so its texts cannot be sent back. Leave --retry-over-budget out."
        )
    if not limited:
        raise ConfigError(
            "Expected a generator with a prompt budget, but none has one, so no text can be too "
            "long. Leave --retry-over-budget out."
        )
