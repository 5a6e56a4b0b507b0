"""From clips to chat requests and from replies to scores, for any vision-language backend."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from phybench.plugins.contracts import Failure, JudgeRequest, Score
from phybench.services.chat_client import ChatRequest, Reply
from phybench.video.chat_parts import ClipParts, Media, clip_parts
from phybench.video.video_file import VideoError

from .replies import Judgement, UnreadableError, read_reply
from .template import Ask, QuestionTemplate

Combine = Literal["vote", "mean"]
Answer = Callable[[Sequence[ChatRequest]], Sequence[Reply | Failure]]


@dataclass(frozen=True, slots=True)
class Questioning:
    """How clips are asked about.

    Args:
        template: The questions.
        media: How clips travel.
        sampling: Fields of every request's body.
        limit_field: What the service calls the limit of tokens.
        samples: Replies per question.
        combine: ``vote``: the most frequent rating, the lower one on a tie; ``mean``: their mean.
        seed: Seed of the first sample, counted up for the others; ``None`` sends none.
        structured: Whether the server enforces the template's JSON schemas.
    """

    template: QuestionTemplate
    media: Media
    sampling: Mapping[str, Any]
    limit_field: str
    samples: int
    combine: Combine
    seed: int | None
    structured: bool


def score_by_questions(
    requests: Sequence[JudgeRequest], how: Questioning, answer: Answer
) -> list[Score | Failure]:
    """Ask everything about all clips at once; one result per clip, in order.

    Failure kinds: ``no-video``, ``decode``, ``parse``, and those of
    :meth:`phybench.services.chat_client.ChatClient.complete`.
    """
    prepared = [_parts(request, how.media) for request in requests]
    asked = [
        _chat_requests(request, parts, how)
        for request, parts in zip(requests, prepared, strict=True)
        if isinstance(parts, ClipParts)
    ]
    replies = iter(answer([chat for chats in asked for chat in chats]))
    return [
        parts if isinstance(parts, Failure) else _judged(replies, how, len(request.rules))
        for request, parts in zip(requests, prepared, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class RecordedReplies:
    """Reads what :func:`score_by_questions` recorded, again and without asking anything.

    Args:
        how: How the clips were asked about.
    """

    how: Questioning

    def reread(self, reply: str) -> Score | Failure:
        """Read a raw reply again; verdicts on rules are left out, as their number is not known.

        Args:
            reply: The reply itself where one question was asked once, else a JSON object with the
                list of replies to each question, those that did not come left out.
        """
        texts = _recorded(reply, self.how)
        if texts is None:
            names = ", ".join(ask.name for ask in self.how.template.asks)
            message = f"Expected a JSON object with at most {self.how.samples} replies to {names}."
            return Failure("parse", message, reply=reply)
        absent = Failure("absent", "This reply did not come.")
        replies: list[Reply | Failure] = []
        for ask in self.how.template.asks:
            came = [Reply(text) for text in texts[ask.name]]
            replies += [*came, *[absent] * (self.how.samples - len(came))]
        return _judged(iter(replies), self.how, 0)


def _recorded(reply: str, how: Questioning) -> dict[str, list[str]] | None:
    names = [ask.name for ask in how.template.asks]
    if _asks_once(how):
        return {names[0]: [reply]}
    try:
        texts = json.loads(reply)
    except (ValueError, RecursionError):
        return None
    if not isinstance(texts, dict) or sorted(texts) != sorted(names):
        return None
    legal = all(
        isinstance(came, list)
        and len(came) <= how.samples
        and all(isinstance(text, str) for text in came)
        for came in texts.values()
    )
    return texts if legal else None


def _parts(request: JudgeRequest, media: Media) -> ClipParts | Failure:
    if request.clip.path is None:
        return Failure("no-video", f"Clip {request.clip.source!r} has no file to look at.")
    try:
        return clip_parts(request.clip, request.clip.path, media)
    except (VideoError, OSError) as error:
        return Failure("decode", str(error))


def _chat_requests(request: JudgeRequest, parts: ClipParts, how: Questioning) -> list[ChatRequest]:
    return [
        ChatRequest(
            messages=_messages(request, parts, ask, how),
            schema=_schema(ask, len(request.rules)) if how.structured else None,
            sampling=_body(parts, ask, how, sample),
        )
        for ask in how.template.asks
        for sample in range(how.samples)
    ]


def _messages(
    request: JudgeRequest, parts: ClipParts, ask: Ask, how: Questioning
) -> list[dict[str, Any]]:
    text = {"type": "text", "text": ask.wording(request.prompt, request.rules)}
    content = [*parts.parts, text] if how.media.first else [text, *parts.parts]
    system = [{"role": "system", "content": how.template.system}] if how.template.system else []
    return [*system, {"role": "user", "content": content}]


def _schema(ask: Ask, rules: int) -> Mapping[str, Any] | None:
    schema = ask.schema_
    if schema is None or not rules or "rules" not in ask.fields:
        return schema
    verdicts = {"type": "array", "items": {"type": "integer", "enum": [0, 1, 2]}}
    return {
        **schema,
        "properties": {**schema["properties"], ask.fields["rules"]: verdicts},
        "required": [*schema["required"], ask.fields["rules"]],
    }


def _body(parts: ClipParts, ask: Ask, how: Questioning, sample: int) -> dict[str, Any]:
    body = {**how.sampling, **parts.body}
    body[how.limit_field] = ask.max_tokens or how.template.max_tokens
    if how.seed is not None:
        body["seed"] = how.seed + sample
    return body


@dataclass(frozen=True, slots=True)
class _Asked:
    """All samples of one question about one clip."""

    ask: Ask
    replies: Sequence[Reply | Failure]
    judgements: Sequence[Judgement]
    failures: Sequence[Failure]


def _judged(replies: Iterator[Reply | Failure], how: Questioning, rules: int) -> Score | Failure:
    asked = [
        _read(ask, [next(replies) for _ in range(how.samples)], rules) for ask in how.template.asks
    ]
    raw, details = _raw(asked, how), _details(asked)
    for answers in asked:
        # More than half must be usable, or a vote would hide that the judge mostly failed.
        if 2 * len(answers.judgements) <= how.samples:
            return _failed(answers, how.samples, raw)
    for answers in asked:
        unsure = [judgement for judgement in answers.judgements if not judgement.assessable]
        if 2 * len(unsure) > len(answers.judgements):
            reason = unsure[0].reason or "the judge says that the clip cannot be assessed"
            return Score.unscored(reason, reply=raw, details=details)
    return Score(
        sa=_combined([_values(answers, "sa") for answers in asked], how.combine),
        pc=_combined([_values(answers, "pc") for answers in asked], how.combine),
        reply=raw,
        rules=_rules(asked, rules),
        details=details,
    )


def _read(ask: Ask, replies: Sequence[Reply | Failure], rules: int) -> _Asked:
    judgements, failures = [], []
    for reply in replies:
        if isinstance(reply, Failure):
            failures.append(reply)
            continue
        try:
            judgements.append(read_reply(reply.text, ask, rules))
        except UnreadableError as error:
            failures.append(Failure("parse", f"{ask.name}: {error}", reply=reply.text))
    return _Asked(ask, replies, judgements, failures)


def _failed(answers: _Asked, samples: int, raw: str) -> Failure:
    first = answers.failures[0]
    # What the reader has seen is recorded whole; a refused or cut reply it has not.
    reply = raw if first.kind == "parse" and raw else first.reply
    if samples == 1:
        return replace(first, reply=reply)
    message = f"{len(answers.failures)} of {samples} replies are unusable. {first.message}"
    retryable = any(failure.retryable for failure in answers.failures)
    return Failure(first.kind, message, retryable=retryable, reply=reply)


def _values(answers: _Asked, target: Literal["sa", "pc"]) -> list[int]:
    values = (
        judgement.sa if target == "sa" else judgement.pc
        for judgement in answers.judgements
        if judgement.assessable
    )
    return [value for value in values if value is not None]


def _combined(votes_of_asks: Sequence[Sequence[int]], combine: Combine) -> float:
    merge = _vote if combine == "vote" else fmean
    return fmean(merge(votes) for votes in votes_of_asks if votes)


def _vote(votes: Sequence[int]) -> int:
    counts = Counter(votes)
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


def _rules(asked: Sequence[_Asked], count: int) -> tuple[int | None, ...]:
    verdicts = [
        judgement.rules
        for answers in asked
        for judgement in answers.judgements
        if len(judgement.rules) == count
    ]
    columns = [[row[index] for row in verdicts] for index in range(count)]
    return tuple(_verdict(column) for column in columns)


def _verdict(column: Sequence[int | None]) -> int | None:
    """The most frequent verdict, or ``None`` if none leads."""
    counts = Counter(verdict for verdict in column if verdict is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def _asks_once(how: Questioning) -> bool:
    return how.samples == len(how.template.asks) == 1


def _raw(asked: Sequence[_Asked], how: Questioning) -> str:
    """The reply itself if there can be only one, else all of them by question."""
    texts = {
        answers.ask.name: [reply.text for reply in answers.replies if isinstance(reply, Reply)]
        for answers in asked
    }
    if _asks_once(how):
        (came,) = texts.values()
        return came[0] if came else ""
    return json.dumps(texts, ensure_ascii=False)


def _details(asked: Sequence[_Asked]) -> dict[str, Any]:
    replies = [reply for answers in asked for reply in answers.replies if isinstance(reply, Reply)]
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    return {
        "asks": {answers.ask.name: _ask_details(answers) for answers in asked},
        "models": sorted({reply.model for reply in replies}),
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
        "completion_tokens": sum(reply.completion_tokens for reply in replies),
        "cost_usd": sum(costs) if len(costs) == len(replies) else None,
    }


def _ask_details(answers: _Asked) -> dict[str, Any]:
    return {
        "votes": [
            {
                "sa": judgement.sa,
                "pc": judgement.pc,
                "assessable": judgement.assessable,
                "law": judgement.law,
                "reason": judgement.reason,
            }
            for judgement in answers.judgements
        ],
        "reasoning": [
            reply.reasoning
            for reply in answers.replies
            if isinstance(reply, Reply) and reply.reasoning
        ],
        "failed": [f"{failure.kind}: {failure.message}" for failure in answers.failures],
    }
