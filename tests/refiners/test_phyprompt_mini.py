"""The bundled checkpoint: that it is what its card says, and that it rewrites."""

from __future__ import annotations

import pytest

from phybench.plugins.contracts import Refinement
from phybench.plugins.registry import create
from phybench.refiners.phyprompt import default_checkpoint, read_card

PROMPTS = [
    "A red ball falls onto a table.",
    "A large yellow sphere rolls into a small blue cube.",
    "A small green triangle is thrown across the table.",
]


def test_the_bundled_checkpoint_is_small_and_went_through_both_stages():
    folder = default_checkpoint("mini")
    assert read_card(folder).stage == "grpo"
    assert (folder / "README.md").is_file()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 25e6


@pytest.mark.slow
def test_it_keeps_the_users_words_and_adds_lawful_ones():
    pytest.importorskip("torch")
    refiner = create("refiner", "phyprompt-mini")
    made = refiner.refine(PROMPTS, [0, 1, 2])
    for prompt, refinement in zip(PROMPTS, made, strict=True):
        assert isinstance(refinement, Refinement), refinement
        assert refinement.text.startswith(prompt)
        assert len(refinement.text) > len(prompt) + 10
        assert refinement.reasoning.startswith("Law: ")
    assert refiner.refine(PROMPTS, [0, 1, 2]) == made
