"""GEPA over a refiner's instructions: a gradient-free baseline for training.

GEPA (package ``gepa``) evolves a text: it runs a few prompts, lets a language model reflect on what
went wrong, keeps what scores better, and holds a Pareto front over the validation prompts. Here the
text is a refiner's system prompt, and a score is a clip's: any refiner with an option
``instructions``, any generator, any judge. The result is a text file, used like any other wording::

    from phybench.refiners.rewriting.instruction_search import search_instructions

    found = search_instructions(
        refiner="gpt-4o", generator="cogvideox:model=…", judge="videophy2:model=…",
        reflection="gpt-5.5", train=[...], val=[...], folder=Path("search"), max_metric_calls=200,
    )
    # phybench run -r gpt-4o:instructions=search/best.md,as=gpt-4o-gepa …

Use prompts that the evaluation does not use, and judge the result with another judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.errors import ConfigError, MissingExtraError, PhybenchError
from phybench.machine.digest import text_digest
from phybench.plugins.contracts import Failure, Refinement, Score
from phybench.plugins.registry import create
from phybench.plugins.spec import parse_spec
from phybench.prompts.seeds import item_seed

from ..chat import Chat
from ..language_model.chat_model import Question
from .replies import ReplyError
from .task import read_wording
from .trials import Laboratory, Trial

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch

_PART = "instructions"
BEST_FILE = "best.md"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Args:
        path: The best instructions, as a file.
        start_value: Mean value of the validation prompts under the instructions it began from.
        best_value: Mean value under the best instructions: 0..1, chosen on these very prompts, so
            it flatters them.
        candidates: Instructions tried on all validation prompts.
        metric_calls: Clips judged.
    """

    path: Path
    start_value: float
    best_value: float
    candidates: int
    metric_calls: int


def search_instructions(
    *,
    refiner: str,
    generator: str,
    judge: str,
    reflection: str,
    train: Sequence[str],
    val: Sequence[str],
    folder: Path,
    max_metric_calls: int,
    start: str = "physics-v1",
    seed: int = 0,
) -> SearchResult:
    """Evolve a refiner's instructions. The same call in the same folder continues.

    Args:
        refiner: SPEC of a refiner with an option ``instructions``.
        generator: SPEC of the generator.
        judge: SPEC of the judge whose scores are raised; take another one to evaluate.
        reflection: SPEC of the chat model that proposes instructions.
        train: Prompts to learn from.
        val: Prompts that candidates are compared on.
        folder: Where state, candidates and the result go.
        max_metric_calls: Clips to judge at most (GEPA may overrun it by one validation pass).
        start: Bundled wording or text file to begin from.
        seed: Seed of the search and of the clips.

    Raises:
        ConfigError: If a plugin cannot be constructed or there are no prompts.
        MissingExtraError: If the extra ``gepa`` is not installed.
    """
    if find_spec("gepa") is None:
        raise MissingExtraError("the search for instructions", "gepa", "gepa")
    if not train or not val:
        raise ConfigError("Expected at least one prompt each in `train` and `val`.")
    from gepa.api import optimize

    thinker = create("refiner", reflection)
    if not isinstance(thinker, Chat):
        raise ConfigError(f"Expected `reflection` to be a chat model, but got {reflection!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(generator, judge)
    adapter: Any = _Adapter(refiner, laboratory, folder, seed)
    text = read_wording(start)
    adapter.refiner(text)  # wrong options are found now, not after the first clips
    try:
        found: Any = optimize(
            seed_candidate={_PART: text},
            trainset=list(train),
            valset=list(val),
            adapter=adapter,
            reflection_lm=_Reflection(thinker, seed),
            max_metric_calls=max_metric_calls,
            run_dir=str(folder / "state"),
            logger=_Quiet(),
            seed=seed,
        )
    finally:
        laboratory.close()
        thinker.close()
    path = folder / BEST_FILE
    path.write_text(found.candidates[found.best_idx][_PART], encoding="utf-8")
    return SearchResult(
        path=path,
        start_value=found.val_aggregate_scores[0],
        best_value=found.val_aggregate_scores[found.best_idx],
        candidates=found.num_candidates,
        metric_calls=found.total_metric_calls or 0,
    )


@dataclass(frozen=True, slots=True)
class _Trace:
    """One prompt under one candidate: what reflection gets to see."""

    prompt: str
    text: str
    feedback: str


class _Adapter:
    """Our refiner, generator and judge as GEPA's system under optimisation."""

    propose_new_texts = None  # GEPA's own proposer

    def __init__(self, refiner: str, laboratory: Laboratory, folder: Path, seed: int) -> None:
        self._spec = parse_spec(refiner)
        self._laboratory = laboratory
        self._folder = folder / "candidates"
        self._folder.mkdir(exist_ok=True)
        self._seed = seed

    def refiner(self, instructions: str) -> Any:
        """The refiner with these instructions."""
        path = self._folder / f"{text_digest(instructions)[:16]}.md"
        path.write_text(instructions, encoding="utf-8")
        options = {**self._spec.options, "instructions": str(path)}
        return create("refiner", replace(self._spec, options=options))

    def evaluate(
        self, batch: list[str], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[_Trace, str]:
        """Refine, generate and judge some prompts under a candidate."""
        from gepa.core.adapter import EvaluationBatch

        seeds = [item_seed(self._seed, prompt, 0) for prompt in batch]
        refiner = self.refiner(candidate[_PART])
        refined = refiner.refine(batch, seeds)
        if callable(getattr(refiner, "close", None)):
            refiner.close()
        rows = [row for row, result in enumerate(refined) if isinstance(result, Refinement)]
        trials = [Trial(batch[row], refined[row].text, seeds[row]) for row in rows]
        outcomes = dict(zip(rows, self._laboratory.run(trials), strict=True))
        values, traces = [], []
        for row, (prompt, result) in enumerate(zip(batch, refined, strict=True)):
            if isinstance(result, Failure):
                # Within the search a reply that cannot be used is worth nothing; no such value
                # ever leaves it.
                value, text, feedback = 0.0, result.reply, f"Unusable: {result.message}"
            else:
                score = outcomes[row].score
                value = (self._laboratory.value(outcomes[row]) or 0.0) / 2
                text, feedback = result.text, _feedback(score)
            values.append(value)
            traces.append(_Trace(prompt, text, feedback))
        outputs = [trace.text for trace in traces]
        return EvaluationBatch(outputs, values, traces if capture_traces else None)

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[_Trace, str],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What went well and badly, for the language model that proposes new instructions."""
        records = [
            {
                "Inputs": {"text": trace.prompt},
                "Generated Outputs": trace.text,
                "Feedback": trace.feedback,
            }
            for trace in eval_batch.trajectories or ()
        ]
        return dict.fromkeys(components_to_update, records)


def _feedback(score: Score | Failure) -> str:
    if isinstance(score, Failure):
        return f"No score: {score.message}"
    if score.sa is None or score.pc is None:
        return "The judge could not assess the video."
    return (
        f"Semantic adherence of the video to the text: {score.sa:g}; physical commonsense: "
        f"{score.pc:g} (higher is better). The judge said: {score.reply[:500]}"
    )


class _Reflection:
    """The reflecting language model as GEPA calls it."""

    def __init__(self, thinker: Chat, seed: int) -> None:
        self._model = thinker.model
        self._seed = seed

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        (answer,) = self._model.ask([Question(messages, self._seed, _said)])
        if isinstance(answer, Failure):
            raise PhybenchError(f"The reflecting model gave no answer: {answer.message}")
        return answer.value


def _said(reply: str) -> str:
    if not reply.strip():
        raise ReplyError("empty", "Expected instructions, but the reply is empty.")
    return reply


class _Quiet:
    """GEPA reports every step; its state is in the run folder."""

    def log(self, message: str) -> None:
        """Say nothing."""
