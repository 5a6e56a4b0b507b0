"""Refining prompts without a run around it, with a run's seeds and a run's cache."""

from __future__ import annotations

from collections.abc import Sequence

from phybench.plugins.contracts import Failure, Prompt, Refinement
from phybench.plugins.opened import Opened
from phybench.prompts.seeds import prompt_seed
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.keys import fingerprint, refinement_key
from phybench.units.unit import Unit
from phybench.workers.queue import run_all


def refine_prompts(
    refiner: Opened, prompts: Sequence[Prompt], *, n: int, seed: int, cache: Cache
) -> list[Refinement | Failure]:
    """Refine prompts as a run with this seed does; what the cache knows is not made again.

    Args:
        refiner: The refiner.
        prompts: The prompts.
        n: Refinements per prompt, ≥ 1.
        seed: The run's seed.
        cache: Where known refinements are found and new ones are kept, batch by batch.

    Returns:
        The ``n`` results of the first prompt, then those of the second, and so on.
    """
    digest = fingerprint(refiner)
    units: list[Unit] = []
    for prompt in prompts:
        for own in (prompt_seed(seed, prompt, k) for k in range(n)):
            key = refinement_key(digest, refiner.info, prompt.text, own)
            units.append(Unit(key, "refine", prompt.text, own))
    return [_result(value) for value in run_all(refiner, digest, units, cache)]


def _result(value: Value) -> Refinement | Failure:
    if isinstance(value, Refinement | Failure):
        return value
    return Failure("contract", f"Expected a refinement, but got {type(value).__name__}.")
