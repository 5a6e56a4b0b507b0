"""Seeds: one per prompt and repeat, the same for every arm, so that arms are paired."""

from __future__ import annotations

from phybench.machine.digest import text_digest

SEED_LIMIT = 2**31


def item_seed(run_seed: int, prompt_id: str, k: int) -> int:
    """The seed of repeat ``k`` of a prompt, in [0, 2**31).

    It depends on nothing else: not on the arm, the order or the number of workers, so that two
    arms see the same noise (common random numbers) and their difference is a paired one.
    """
    return int(text_digest(str(run_seed), prompt_id, str(k))[:8], 16) % SEED_LIMIT
