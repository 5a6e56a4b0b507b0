"""A hosted chat model as refiners use it: questions whose replies must be readable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from phybench.machine.digest import canonical_json, text_digest, value_digest
from phybench.machine.folders import default_folder
from phybench.plugins.contracts import Failure
from phybench.services.chat_client import ChatClient, ChatRequest, Reply
from phybench.services.endpoint import Endpoint
from phybench.services.usage import Usage

from ..rewriting.replies import ReplyError
from .paid_replies import PaidReplies

T = TypeVar("T")
Structured = Literal["schema", "json", "none"]
LimitField = Literal["max_completion_tokens", "max_tokens"]

_UNUSABLE = frozenset({"parse", "empty", "leak", "language", "length"})
"""Failures of the reply, not of the service: another draw may be better."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """Something to ask.

    Args:
        messages: The conversation in OpenAI's message format.
        seed: Seed of the reply.
        read: Turns the reply's text into a value, or raises ``ReplyError``.
        schema: JSON schema of the reply, sent to servers that enforce one.
    """

    messages: Sequence[Mapping[str, Any]]
    seed: int
    read: Callable[[str], T]
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A usable reply.

    Args:
        value: What it says.
        reply: The reply itself, with its costs.
    """

    value: T
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How a chat model is asked.

    Args:
        endpoint: Where, and how hard to press it.
        structured: ``schema`` sends JSON schemas, ``json`` switches JSON mode on, ``none`` relies
            on the instructions.
        body: Further fields of every request, sampling included.
        max_tokens: Longest reply.
        limit_field: What the service calls it.
        send_seed: Whether to send seeds.
        tries: How often an unusable reply is asked for in all.
        sampled: Whether the seed can change a reply.
    """

    endpoint: Endpoint
    structured: Structured
    body: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int
    limit_field: LimitField
    send_seed: bool
    tries: int
    sampled: bool

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that can change a reply."""
        return {
            "base_url": self.endpoint.base_url,
            "model": self.endpoint.model,
            "structured": self.structured,
            "body": dict(self.body),
            "max_tokens": self.max_tokens,
            "send_seed": self.send_seed,
            "tries": self.tries,
        }


class ChatModel:
    """Asks questions, several at a time, and keeps what was paid for.

    Args:
        settings: How to ask.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._client: ChatClient | None = None
        self._paid: PaidReplies | None = None

    @property
    def usage(self) -> Usage:
        """Requests, tokens and dollars of this process so far, unusable replies included."""
        return self._client.usage if self._client else Usage()

    def ask(self, questions: Sequence[Question[T]]) -> list[Answer[T] | Failure]:
        """Answer each question; one result per question, in order.

        An unusable reply is asked for again with the next seed, a cut one with twice the tokens.
        A usable reply is kept and never asked for again; equal questions are asked once.

        Failure kinds: those of :meth:`phybench.services.chat_client.ChatClient.complete` and of
        :class:`phybench.refiners.rewriting.replies.ReplyError`.
        """
        keys = [self._key(question) for question in questions]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        results: list[Answer[T] | Failure | None] = [
            self._kept(key, question) for key, question in zip(keys, questions, strict=True)
        ]
        rows = [row for row in sorted(first.values()) if results[row] is None]
        for attempt in range(self._settings.tries):
            self._send(rows, questions, keys, results, attempt)
            rows = [row for row in rows if _is_unusable(results[row])]
        asked = (results[first[key]] for key in keys)
        return [result for result in asked if result is not None]

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()

    def _kept(self, key: str, question: Question[T]) -> Answer[T] | None:
        reply = self._paid_replies().get(key)
        if reply is None:
            return None
        answer = _read(reply, question)
        return None if isinstance(answer, Failure) else answer

    def _send(
        self,
        rows: Sequence[int],
        questions: Sequence[Question[T]],
        keys: Sequence[str],
        results: list[Answer[T] | Failure | None],
        attempt: int,
    ) -> None:
        """Ask the questions of some rows and fill in their results as they arrive."""

        def arrived(position: int, reply: Reply | Failure) -> None:
            row = rows[position]
            results[row] = answer = _read(reply, questions[row])
            if isinstance(answer, Answer):
                self._paid_replies().add(keys[row], answer.reply)

        if not rows:
            return
        if self._client is None:
            self._client = ChatClient(self._settings.endpoint)
        requests = [
            self._request(questions[row], attempt, doubled=_is_cut(results[row])) for row in rows
        ]
        self._client.complete(requests, on_result=arrived)

    def _request(self, question: Question[T], attempt: int, *, doubled: bool) -> ChatRequest:
        settings = self._settings
        sampling = {**settings.body, settings.limit_field: settings.max_tokens * (1 + doubled)}
        if settings.send_seed:
            sampling["seed"] = question.seed + attempt
        if settings.structured == "json" and question.schema:
            sampling["response_format"] = {"type": "json_object"}
        schema = question.schema if settings.structured == "schema" else None
        return ChatRequest(question.messages, schema=schema, sampling=sampling)

    def _key(self, question: Question[T]) -> str:
        asked = canonical_json([list(question.messages), question.schema])
        return text_digest(asked, str(question.seed if self._settings.sampled else 0))

    def _paid_replies(self) -> PaidReplies:
        if self._paid is None:
            name = f"{value_digest(self._settings.fingerprint)}.jsonl"
            self._paid = PaidReplies(default_folder() / "replies" / name)
        return self._paid


def _read(reply: Reply | Failure, question: Question[T]) -> Answer[T] | Failure:
    if isinstance(reply, Failure):
        return reply
    try:
        return Answer(question.read(reply.text), reply)
    except ReplyError as error:
        return Failure(error.kind, str(error), retryable=error.kind != "refusal", reply=reply.text)


def _is_unusable(result: object) -> bool:
    return isinstance(result, Failure) and result.kind in _UNUSABLE


def _is_cut(result: object) -> bool:
    return isinstance(result, Failure) and result.kind == "length"
