"""What an executor is.

A pipeline opens one *lane* per plugin, submits batches to lanes that have a free slot, and waits
for whichever finishes next. An executor knows nothing of items, caching or order, so a pool of
local processes, a cluster's actors or a plain loop can stand behind the same pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from phybench.errors import ConfigError
from phybench.plugins.opened import Opened
from phybench.units.codec import Value
from phybench.units.unit import Unit


@dataclass(frozen=True, slots=True)
class Done:
    """A finished batch.

    Args:
        lane: The lane it was submitted to.
        units: The batch.
        results: One result per unit, or ``None`` if the worker died with the batch in hand.
        seconds: How long the plugin took.
    """

    lane: int
    units: Sequence[Unit]
    results: Sequence[Value] | None
    seconds: float = 0.0


class Executor(Protocol):
    """Calls plugins, one lane each."""

    def open(self, opened: Opened) -> int:
        """Make a lane for a plugin and return its number."""
        ...

    def free(self, lane: int) -> int:
        """How many batches the lane can take right now."""
        ...

    def submit(self, lane: int, units: Sequence[Unit]) -> None:
        """Hand a batch to a lane that has a free slot."""
        ...

    def wait(self) -> Sequence[Done]:
        """Block until at least one submitted batch is finished and return those that are.

        Raises:
            StorageError: If a worker could not store a clip.
        """
        ...

    def close(self) -> None:
        """Stop all workers; batches in flight are given up."""
        ...


def refuse_gpu_shares(opened: Opened) -> None:
    """Refuse the SPEC option ``gpus`` where nothing hands out GPUs.

    Raises:
        ConfigError: If it is given.
    """
    if opened.spec.gpus is not None:
        raise ConfigError(
            f"Expected `gpus` of `{opened.spec.name}` only with the executor `ray`, which hands "
            "out GPUs. Without it set CUDA_VISIBLE_DEVICES."
        )


def refuse_pool(opened: Opened) -> None:
    """Refuse the SPEC options ``workers`` and ``gpus`` where one process does everything.

    Raises:
        ConfigError: If one is given.
    """
    refuse_gpu_shares(opened)
    if opened.spec.workers is not None:
        raise ConfigError(
            f"Expected `workers` of `{opened.spec.name}` only with the executors `local` and "
            "`ray`, and not for free refiners: here one process does everything."
        )
