"""Clips made and judged inside a refiner, for refiners that look at what their words become.

They use the same cache and the same keys as a run. A clip that such a refiner made to choose a text
is not made again when the run asks for that text's clip with the same generator, seed and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from phybench.machine.folders import default_folder
from phybench.plugins.abilities import NestedWork
from phybench.plugins.contracts import Clip, ClipRequest, Failure, JudgeRequest, Score
from phybench.plugins.opened import Opened
from phybench.plugins.spec import parse_spec
from phybench.units.cache import Cache
from phybench.units.codec import Value
from phybench.units.keys import clip_key, fingerprint, score_key
from phybench.units.unit import Act, Unit
from phybench.workers.opening import open_alone
from phybench.workers.queue import run_all


@dataclass(frozen=True, slots=True)
class Trial:
    """A text to try.

    Args:
        prompt: The user's prompt, which adherence is judged against.
        text: What the generator gets.
        seed: The clip's seed.
    """

    prompt: str
    text: str
    seed: int


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What a text became.

    Args:
        clip: The clip, or why there is none.
        score: The judge's score, or why there is none.
    """

    clip: Clip | Failure
    score: Score | Failure


class Laboratory:
    """A generator and a judge at a refiner's disposal.

    Args:
        generator: SPEC of the generator.
        judge: SPEC of the judge that scores its clips.

    Raises:
        ConfigError: If one of them cannot be constructed.
    """

    def __init__(self, generator: str, judge: str) -> None:
        self.generator = open_alone("generator", parse_spec(generator))
        self.judge = open_alone("judge", parse_spec(judge))

    @property
    def fingerprint(self) -> dict[str, str]:
        """What an outcome depends on; ``selection_judge`` equals the digest that a run gives it."""
        return {
            "generator": self.generator.info.name,
            "generator_fingerprint": fingerprint(self.generator),
            "selection_judge": self.judge.info.name,
            "selection_judge_fingerprint": fingerprint(self.judge),
        }

    @property
    def gpu_gib(self) -> float:
        """GPU memory that both need together."""
        return self.generator.info.gpu_gib + self.judge.info.gpu_gib

    @property
    def simulated(self) -> bool:
        """Whether the numbers say nothing about real models."""
        return self.generator.info.simulated or self.judge.info.simulated

    def nested(self, trials: int) -> list[NestedWork]:
        """What trials have generator and judge do, at most."""
        return [
            NestedWork("generator", self.generator.info, trials),
            NestedWork("judge", self.judge.info, trials),
        ]

    def run(self, trials: Sequence[Trial]) -> list[TrialOutcome]:
        """Make and judge a clip for each trial, in order; equal trials are done once."""
        requests = [ClipRequest(trial.text, trial.seed) for trial in trials]
        clips = self._results("generate", self.generator, requests, clip_key)
        judged = [row for row, clip in enumerate(clips) if isinstance(clip, Clip)]
        asked = [JudgeRequest(clips[row], trials[row].prompt) for row in judged]  # type: ignore[arg-type]
        judgements = self._results("judge", self.judge, asked, score_key)
        scores = dict(zip(judged, judgements, strict=True))
        return [
            TrialOutcome(_as(Clip, clip), _as(Score, scores.get(row, clip)))
            for row, clip in enumerate(clips)
        ]

    def value(self, outcome: TrialOutcome) -> float | None:
        """How good an outcome is, in 0..2; ``None`` if it was not scored.

        A joint success counts 1, and the mean of SA and PC, scaled to 0..1, decides among equals.
        """
        score = outcome.score
        if isinstance(score, Failure) or score.sa is None or score.pc is None:
            return None
        scale = self.judge.info.scale
        mean = (score.sa + score.pc) / 2
        return bool(score.success(scale)) + (mean - scale.low) / (scale.high - scale.low)

    def close(self) -> None:
        """Give back what the plugins hold."""
        for opened in (self.generator, self.judge):
            if callable(getattr(opened.plugin, "close", None)):
                opened.plugin.close()

    def _results(
        self, act: Act, opened: Opened, bodies: Sequence[Any], key_of: Callable[[str, Any], str]
    ) -> list[Value]:
        """Results from the cache, and from the plugin where they are not there yet."""
        digest = fingerprint(opened)
        units = [Unit(key_of(digest, body), act, body) for body in bodies]
        with Cache(default_folder()) as cache:
            return run_all(opened, digest, units, cache)


def _as(wanted: type, value: Any) -> Any:
    if isinstance(value, wanted | Failure):
        return value
    return Failure("contract", f"Expected a {wanted.__name__}, but got {type(value).__name__}.")
