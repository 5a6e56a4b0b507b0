"""A refiner as a plain function, for use in front of any video pipeline.

from phybench.refiners.serving.rewriter import load_rewriter

rewrite = load_rewriter("template")  # or "phyprompt", "gpt-4o", …
video = pipe(rewrite("a ball rolls down a hill")).frames[0]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from phybench.errors import PhybenchError
from phybench.plugins.contracts import Failure, Refinement
from phybench.prompts.seeds import prompt_seed

if TYPE_CHECKING:
    from phybench.plugins.contracts import Refiner


class RefinementError(PhybenchError):
    """A prompt that could not be refined.

    Args:
        prompt: The prompt.
        failure: What happened.
    """

    def __init__(self, prompt: str, failure: Failure) -> None:
        super().__init__(f"Cannot refine {prompt[:60]!r}: {failure.kind}: {failure.message}")
        self.failure = failure


class Rewriter:
    """Calls a refiner on one text or many; weights load on the first call.

    Args:
        refiner: The refiner.
    """

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner

    def __call__(self, prompt: str, *, seed: int = 0) -> str:
        """The rewritten prompt.

        Args:
            prompt: The prompt.
            seed: As a run's ``--seed``; the text is then the one of the run's first repeat.

        Raises:
            RefinementError: If there is none. The prompt itself is never returned instead: say so
                in your code if that is what you want.
        """
        return self.refinements([prompt], seeds=[prompt_seed(seed, prompt)])[0].text

    def many(self, prompts: Sequence[str], *, seed: int = 0) -> list[str]:
        """The rewritten prompts, in order, with the seeds that a run with this seed gives them.

        Raises:
            RefinementError: For the first prompt that could not be refined.
        """
        seeds = [prompt_seed(seed, prompt) for prompt in prompts]
        results = self.refinements(prompts, seeds=seeds)
        return [result.text for result in results]

    def refinements(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> list[Refinement]:
        """The refinements with their reasoning, tokens and costs, in order.

        Raises:
            RefinementError: For the first prompt that could not be refined.
        """
        refined = []
        for prompt, result in zip(prompts, self._refiner.refine(prompts, seeds), strict=True):
            if isinstance(result, Failure):
                raise RefinementError(prompt, result)
            refined.append(result)
        return refined


def load_rewriter(spec: str) -> Rewriter:
    """Make a rewriter of a refiner SPEC, e.g. ``phyprompt`` or ``local:model=/path``.

    Raises:
        ConfigError: If the refiner cannot be constructed.
    """
    from phybench.plugins.spec import parse_spec
    from phybench.workers.opening import open_alone

    return Rewriter(open_alone("refiner", parse_spec(spec)).plugin)
