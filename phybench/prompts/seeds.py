"""Seeds: one per prompt and repeat, the same for every arm, so that arms are paired."""

from __future__ import annotations

from phybench.machine.digest import text_digest
from phybench.plugins.contracts import Prompt

SEED_LIMIT = 2**31


def item_seed(run_seed: int, prompt_id: str, k: int) -> int:
    """The seed of repeat ``k`` of a prompt, in [0, 2**31).

    It depends on nothing else: not on the arm, the order or the number of workers, so that two
    arms see the same noise (common random numbers) and their difference is a paired one.
    """
    return int(text_digest(str(run_seed), prompt_id, str(k))[:8], 16) % SEED_LIMIT


def prompt_seed(run_seed: int, prompt: Prompt | str, k: int = 0) -> int:
    """The seed of repeat ``k`` of a prompt, wherever prompts are refined.

    Args:
        run_seed: The run's seed, as ``--seed`` gives it.
        prompt: The prompt; a bare text is the prompt that it would be in a set without ids.
        k: Index of the repeat.

    Returns:
        The seed, in [0, 2**31).
    """
    return item_seed(run_seed, text_id(prompt) if isinstance(prompt, str) else prompt.id, k)


def text_id(text: str) -> str:
    """The id of a prompt that has none of its own: it follows from the text."""
    return text_digest(text)[:12]
