"""PhyT2V: rewrite, look at the clip, step back, rewrite again (Xue et al., CVPR 2025).

Per round a language model reads what a captioner saw in the clip of the current prompt, states what
departs from the prompt and from the physical law in play, and steps back to a better prompt. Two
things differ from the published code on purpose:

* Semantic adherence is judged against the **user's** prompt. The original scores each round against
  its own rewritten prompt, which rewards drifting away from what was asked.
* The best round is kept, by a judge that should not be the one that evaluates. The original keeps
  the last (``keep=last`` does too).

The wordings are ours; the paper's loop, its eight captioned frames and its roles are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from phybench.errors import ConfigError
from phybench.machine.digest import text_digest
from phybench.plugins.abilities import NestedWork
from phybench.plugins.contracts import Clip, Failure, PluginInfo, Refinement
from phybench.plugins.registry import create
from phybench.video.chat_parts import Media, clip_parts
from phybench.video.video_file import VideoError

from .chat import Chat
from .language_model.chat_model import Answer, Question
from .rewriting.replies import (
    PARSER_VERSION,
    ReplyError,
    Rewrite,
    check_rewrite,
    one_line,
    read_json_reply,
    read_object,
)
from .rewriting.task import (
    DEFAULT_BUDGET,
    REPLY_SCHEMA,
    Language,
    rewriting_task,
    texts_schema,
)
from .rewriting.trials import Laboratory, Trial, TrialOutcome

T = TypeVar("T")
_FRAMES = 8
"""Frames that the captioner sees (PhyT2V's setting for its captioner)."""


_MATERIAL = {
    "law": (),
    "mismatch": ("objects", "law", "caption"),
    "rewrite": ("objects", "law", "tried", "mismatch"),
}
"""What each question to the language model is told beside the user's prompt."""


@dataclass(slots=True)
class _Case:
    """A prompt on its way through the rounds."""

    prompt: str
    seed: int
    current: Rewrite
    notes: dict[str, str] = field(default_factory=dict)
    tries: list[tuple[Rewrite, TrialOutcome]] = field(default_factory=list)
    cost_usd: float = 0.0
    failure: Failure | None = None


class PhyT2V:
    """Refines prompts with PhyT2V's loop.

    Args:
        llm: SPEC of a chat model (``gpt-4o``, ``vllm:model=…``) that reasons and rewrites.
        captioner: SPEC of a chat model that sees images and describes clips.
        generator: SPEC of the generator that makes the clips.
        by: SPEC of the judge that picks the round. Take another one than evaluates.
        rounds: Rewrites per prompt; each costs a clip, and the user's own prompt costs one more.
        keep: ``best`` round by the judge (the user's own prompt is one of them, the earlier one
            wins a tie), or the ``last`` as published.
        budget: Tokens that the generator reads; the instructions ask for a length that fits.
        language: ``english``, or ``any`` for the language of the prompt.

    Raises:
        ConfigError: If a nested plugin cannot be constructed, or is no chat model.
    """

    def __init__(
        self,
        *,
        llm: str,
        captioner: str,
        generator: str,
        by: str,
        rounds: Annotated[int, Field(ge=1, le=10)] = 2,
        keep: Literal["best", "last"] = "best",
        budget: Annotated[int, Field(ge=16)] = DEFAULT_BUDGET,
        language: Language = "english",
    ) -> None:
        thinker, watcher = _chat("llm", llm), _chat("captioner", captioner)
        self._llm, self._captioner = thinker.model, watcher.model
        self._laboratory = Laboratory(generator, by)
        self._wordings = {
            step: rewriting_task(f"phyt2v-{step}-v1", budget=budget, language=language)
            for step in ("law", "caption", "mismatch", "rewrite")
        }
        self._rounds, self._keep, self._language = rounds, keep, language
        self.info = PluginInfo(
            name=f"phyt2v({thinker.info.name})",
            revision=thinker.info.revision,
            licence=thinker.info.licence,
            fingerprint={
                "llm": dict(thinker.info.fingerprint),
                "captioner": dict(watcher.info.fingerprint),
                **self._laboratory.fingerprint,
                "rounds": rounds,
                "keep": keep,
                "language": language,
                "wordings": text_digest(*(task.digest for task in self._wordings.values())),
                "parser": PARSER_VERSION,
            },
            simulated=self._laboratory.simulated,
            max_batch=8,
            gpu_gib=self._laboratory.gpu_gib,
            extra="api",
        )

    @property
    def system_prompt(self) -> str:
        """The four wordings, one after the other."""
        return "\n\n".join(
            f"[{step}]\n{task.system_prompt}" for step, task in self._wordings.items()
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Refine each prompt; one result per prompt, in order.

        A step that fails makes the prompt's result that failure; kind ``selection`` means that no
        clip could be scored.
        """
        cases = [
            _Case(prompt, seed, Rewrite(prompt))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        self._note(cases, "law", ("objects", "law"))
        for _ in range(self._rounds):
            self._try(cases)
            self._describe(cases)
            self._note(cases, "mismatch", ("mismatch",))
            self._rewrite(cases)
        self._try(cases)
        return [self._result(case) for case in cases]

    def nested(self) -> list[NestedWork]:
        """What one prompt has the plugins inside do: a clip and a score per round, and one more."""
        return self._laboratory.nested(self._rounds + 1)

    def close(self) -> None:
        """Give back connections and what the nested plugins hold."""
        self._llm.close()
        self._captioner.close()
        self._laboratory.close()

    def _note(self, cases: Sequence[_Case], step: str, keys: Sequence[str]) -> None:
        """Ask the language model for texts about every open case and note them."""
        asked = _open(cases)
        read, schema = partial(read_object, keys=keys), texts_schema(*keys)
        questions = [
            Question(self._messages(step, case), case.seed, read, schema) for case in asked
        ]
        for case, found in _answered(asked, self._llm.ask(questions)):
            case.notes.update(found)

    def _rewrite(self, cases: Sequence[_Case]) -> None:
        """Ask the language model for the next prompt of every open case."""
        asked = _open(cases)
        questions = [
            Question(
                self._messages("rewrite", case),
                case.seed,
                partial(self._read_rewrite, case),
                REPLY_SCHEMA,
            )
            for case in asked
        ]
        for case, found in _answered(asked, self._llm.ask(questions)):
            case.current = found

    def _messages(self, step: str, case: _Case) -> list[dict[str, str]]:
        material = {name: case.notes[name] for name in _MATERIAL[step]}
        data = json.dumps({"text": case.prompt, **material}, ensure_ascii=False)
        return [
            {"role": "system", "content": self._wordings[step].system_prompt},
            {"role": "user", "content": data},
        ]

    def _read_rewrite(self, case: _Case, reply: str) -> Rewrite:
        rewrite = read_json_reply(reply)
        check_rewrite(
            rewrite,
            prompt=case.prompt,
            instructions=self._wordings["rewrite"].system_prompt,
            language=self._language,
        )
        return rewrite

    def _try(self, cases: Sequence[_Case]) -> None:
        """Make and judge a clip of every open case's current prompt."""
        asked = _open(cases)
        trials = [Trial(case.prompt, case.current.prompt, case.seed) for case in asked]
        for case, outcome in zip(asked, self._laboratory.run(trials), strict=True):
            if isinstance(outcome.clip, Failure):
                case.failure = outcome.clip
            case.notes["tried"] = case.current.prompt
            case.tries.append((case.current, outcome))

    def _describe(self, cases: Sequence[_Case]) -> None:
        """Have the last clip of every open case captioned."""
        asked, questions = [], []
        for case in _open(cases):
            content = self._shown(case.tries[-1][1].clip)
            if isinstance(content, Failure):
                case.failure = content
            else:
                asked.append(case)
                messages = [{"role": "user", "content": content}]
                questions.append(Question(messages, case.seed, _read_caption))
        for case, caption in _answered(asked, self._captioner.ask(questions)):
            case.notes["caption"] = caption

    def _shown(self, clip: Clip | Failure) -> list[Mapping[str, Any]] | Failure:
        """A clip's frames and what to say about them, as parts of a message."""
        if isinstance(clip, Failure):
            return clip
        if clip.path is None:
            return Failure("no-video", "The clip is known by name only, so it cannot be described.")
        try:
            shown = clip_parts(clip, clip.path, Media(form="images", frames=_FRAMES))
        except VideoError as error:
            return Failure("decode", str(error))
        return [*shown.parts, {"type": "text", "text": self._wordings["caption"].system_prompt}]

    def _result(self, case: _Case) -> Refinement | Failure:
        if case.failure is not None:
            return case.failure
        values = [self._laboratory.value(outcome) for _, outcome in case.tries]
        chosen = len(values) - 1 if self._keep == "last" else _best(values)
        if chosen is None:
            return Failure("selection", "No round's clip could be scored.")
        rewrite, _ = case.tries[chosen]
        return Refinement(
            text=rewrite.prompt,
            reasoning=rewrite.reasoning,
            cost_usd=case.cost_usd,
            meta={
                "chosen": chosen,
                "selection_judge": self._laboratory.judge.info.name,
                "law": case.notes["law"],
                "rounds": [_record(tried, outcome) for tried, outcome in case.tries],
            },
        )


def _chat(option: str, spec: str) -> Chat:
    plugin = create("refiner", spec)
    if not isinstance(plugin, Chat):
        raise ConfigError(
            f"Expected `{option}` to be a chat model (`gpt-4o`, `vllm:model=…`), but got {spec!r}."
        )
    return plugin


def _open(cases: Sequence[_Case]) -> list[_Case]:
    return [case for case in cases if case.failure is None]


def _answered(
    cases: Sequence[_Case], answers: Sequence[Answer[T] | Failure]
) -> Iterator[tuple[_Case, T]]:
    """The cases that were answered, with their answers; the others get their failure."""
    for case, answer in zip(cases, answers, strict=True):
        if isinstance(answer, Failure):
            case.failure = answer
        else:
            case.cost_usd += answer.reply.cost_usd or 0.0
            yield case, answer.value


def _read_caption(reply: str) -> str:
    text = one_line(reply)
    if not text:
        raise ReplyError("empty", "Expected a description of the clip, but it is empty.")
    return text


def _best(values: Sequence[float | None]) -> int | None:
    """Position of the highest value, the first of equals."""
    scored = {number: value for number, value in enumerate(values) if value is not None}
    return max(scored, key=lambda number: (scored[number], -number), default=None)


def _record(rewrite: Rewrite, outcome: TrialOutcome) -> dict[str, Any]:
    score = outcome.score
    if isinstance(score, Failure):
        return {"text": rewrite.prompt, "failure": score.kind}
    return {"text": rewrite.prompt, "sa": score.sa, "pc": score.pc}
