"""The refiner that changes nothing: the baseline every other refiner must beat."""

from __future__ import annotations

from collections.abc import Sequence

from phybench.plugins.contracts import Failure, PluginInfo, Refinement


class Identity:
    """Passes the user's prompt on unchanged."""

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="identity",
            revision="1",
            licence="Apache-2.0",
            fingerprint={},
            max_batch=256,
            seeded=False,
            free=True,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Return each prompt as its own refinement."""
        return [Refinement(text=prompt) for prompt in prompts]
