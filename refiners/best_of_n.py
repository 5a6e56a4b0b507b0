"""Best of n: several refinements of a prompt, a clip of each, and a judge that picks one.

The baseline that a trained refiner must beat at equal cost: a GRPO group of four spends four clips
on a prompt in training; best-of-4 spends them when it is used. It is honest only if the judge that
picks is not the judge that evaluates: picking by the evaluation judge picks its errors too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from phybench.errors import ConfigError
from phybench.machine.digest import text_digest
from phybench.plugins.abilities import NestedWork
from phybench.plugins.contracts import Failure, PluginInfo, Refinement, Score
from phybench.plugins.spec import parse_spec
from phybench.prompts.seeds import SEED_LIMIT
from phybench.units.keys import fingerprint
from phybench.workers.opening import open_alone

from .rewriting.trials import Laboratory, Trial, TrialOutcome


class BestOfN:
    """Draws n refinements, makes a clip of each, and keeps the one that a judge scores best.

    The first candidate is what the inner refiner gives for the item's own seed, so that this arm
    and the inner refiner's arm are paired. All clips of an item share its seed. A joint success
    beats every failure; the mean of SA and PC decides among equals, and the earlier candidate ties.

    Args:
        refiner: SPEC of the refiner that gives the candidates.
        generator: SPEC of the generator that makes their clips, with its native video settings.
        by: SPEC of the judge that picks. Take another one than evaluates: a report says so when
            they are the same.
        n: Candidates per prompt.

    Raises:
        ConfigError: If a nested plugin cannot be constructed, or the refiner gives one and the
            same refinement whatever the seed.
    """

    def __init__(
        self,
        *,
        refiner: str,
        generator: str,
        by: str,
        n: Annotated[int, Field(ge=2, le=64)] = 4,
    ) -> None:
        self._inner = open_alone("refiner", parse_spec(refiner))
        inner = self._inner.info
        if not inner.seeded:
            raise ConfigError(
                f"Expected `refiner` to give other texts for other seeds, but `{inner.name}` does "
                "not. Give it a temperature above 0, or take another one."
            )
        self._laboratory = Laboratory(generator, by)
        self._n = n
        self.info = PluginInfo(
            name=f"best-of-{n}({inner.name})",
            revision=inner.revision,
            licence=inner.licence,
            fingerprint={
                "refiner": fingerprint(self._inner),
                **self._laboratory.fingerprint,
                "n": n,
                "version": 1,
            },
            simulated=inner.simulated or self._laboratory.simulated,
            max_batch=max(1, inner.max_batch // n),
            gpu_gib=inner.gpu_gib + self._laboratory.gpu_gib,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Pick a refinement for each prompt; one result per prompt, in order.

        The result is a failure when no candidate could be refined (the first one's failure) or
        none could be scored (kind ``selection``).
        """
        candidates = self._candidates(prompts, seeds)
        outcomes = self._outcomes(prompts, seeds, candidates)
        return [
            self._picked(drawn, found) for drawn, found in zip(candidates, outcomes, strict=True)
        ]

    def nested(self) -> list[NestedWork]:
        """What one prompt has the plugins inside do: a refinement, clip and score per candidate."""
        inner = NestedWork("refiner", self._inner.info, self._n)
        return [inner, *self._laboratory.nested(self._n)]

    def close(self) -> None:
        """Give back what the nested plugins hold."""
        self._laboratory.close()
        if callable(getattr(self._inner.plugin, "close", None)):
            self._inner.plugin.close()

    def _candidates(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> list[list[Refinement | Failure]]:
        texts = [prompt for prompt in prompts for _ in range(self._n)]
        drawn_with = [candidate_seed(seed, number) for seed in seeds for number in range(self._n)]
        drawn = list(self._inner.plugin.refine(texts, drawn_with))
        return [drawn[start : start + self._n] for start in range(0, len(drawn), self._n)]

    def _outcomes(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        candidates: Sequence[Sequence[Refinement | Failure]],
    ) -> list[list[TrialOutcome | None]]:
        """An outcome per candidate, all in one pass; ``None`` for a candidate without a text."""
        trials = {
            (row, number): Trial(prompts[row], drawn.text, seeds[row])
            for row, group in enumerate(candidates)
            for number, drawn in enumerate(group)
            if isinstance(drawn, Refinement)
        }
        found = dict(zip(trials, self._laboratory.run(list(trials.values())), strict=True))
        return [
            [found.get((row, number)) for number in range(self._n)]
            for row in range(len(candidates))
        ]

    def _picked(
        self, candidates: Sequence[Refinement | Failure], outcomes: Sequence[TrialOutcome | None]
    ) -> Refinement | Failure:
        values = [self._laboratory.value(outcome) if outcome else None for outcome in outcomes]
        refined = {
            number: drawn
            for number, drawn in enumerate(candidates)
            if isinstance(drawn, Refinement)
        }
        scored = {number: value for number, value in enumerate(values) if value is not None}
        if not scored:
            return _nothing(candidates, outcomes)
        chosen = max(scored, key=lambda number: (scored[number], -number))
        best = refined[chosen]
        return Refinement(
            text=best.text,
            reasoning=best.reasoning,
            tokens=best.tokens,
            finish_reason=best.finish_reason,
            cost_usd=sum(drawn.cost_usd for drawn in refined.values()),
            meta={
                **best.meta,
                "chosen": chosen,
                "selection_judge": self._laboratory.judge.info.name,
                "candidates": [
                    _record(drawn, outcome)
                    for drawn, outcome in zip(candidates, outcomes, strict=True)
                ],
            },
        )


def candidate_seed(seed: int, number: int) -> int:
    """The seed of an item's candidate: its own for the first, derived ones for the others."""
    if number == 0:
        return seed
    return int(text_digest("candidate", str(seed), str(number))[:8], 16) % SEED_LIMIT


def _nothing(
    candidates: Sequence[Refinement | Failure], outcomes: Sequence[TrialOutcome | None]
) -> Failure:
    """The failure of an item that has no scored candidate."""
    failures = [drawn for drawn in candidates if isinstance(drawn, Failure)]
    if len(failures) == len(candidates):
        return failures[0]
    reasons = [outcome.score for outcome in outcomes if outcome]
    failed = [reason for reason in reasons if isinstance(reason, Failure)]
    why = failed[0].message if failed else "the judge could not assess them"
    return Failure(
        "selection",
        f"No candidate could be scored: {why}",
        retryable=any(failure.retryable for failure in failed),
    )


def _record(drawn: Refinement | Failure, outcome: TrialOutcome | None) -> dict[str, Any]:
    """What is kept of a candidate."""
    if isinstance(drawn, Failure):
        return {"failure": drawn.kind}
    score = outcome.score if outcome else None
    if isinstance(score, Score):
        return {"text": drawn.text, "sa": score.sa, "pc": score.pc}
    return {"text": drawn.text, "failure": score.kind if score else "unknown"}
