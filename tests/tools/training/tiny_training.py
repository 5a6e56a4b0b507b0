"""What the tiny model of the training tests is taught."""

from __future__ import annotations

from phybench.refiners.rewriting.chain_of_thought import ChainOfThought
from phybench.training.data.triples import triple

PROMPTS = (
    "A red ball falls onto a table.",
    "A blue cube falls onto a table.",
    "A green ball slides along a table.",
    "A yellow cube slides along a table.",
)
ENDINGS = ("It bounces lower.", "Gravity pulls it down.", "Friction slows it until it stops.")


def triples():
    """Every prompt with every ending, so that a taught model has a choice."""
    return [
        triple(
            prompt,
            ChainOfThought("law", "it moves", "weight", "solid", "air", f"{prompt} {ending}"),
            "test",
        )
        for prompt in PROMPTS
        for ending in ENDINGS
    ]
