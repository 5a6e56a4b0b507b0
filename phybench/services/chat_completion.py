"""The wire format of a chat completion, and which of its ends count as an answer."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from phybench.services.retries import failed, transient

_SERVER_FINISH = frozenset({"insufficient_system_resource", "abort", "error"})


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(strict=True)
    message: _Message
    finish_reason: str | None = None


class TokenUsage(BaseModel):
    """Tokens that the service counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatCompletion(BaseModel):
    """A response's body; fields that are not read are ignored."""

    choices: list[_Choice]
    model: str | None = None
    system_fingerprint: str | None = None
    usage: TokenUsage | None = None

    def model_post_init(self, _context: Any) -> None:
        """Refuse a completion without a choice."""
        if not self.choices:
            raise ValueError("`choices` is empty")


def first_problem(error: ValidationError) -> str:
    """What is wrong and where, without the input's values."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def is_broken_json(body: bytes) -> bool:
    """Whether a body was cut or mangled, rather than of another form."""
    try:
        json.loads(body)
    except ValueError:
        return True
    return False


def check_finish(choice: _Choice) -> None:
    """Let only a finished answer with a text pass.

    Raises:
        AttemptError: For a refusal, a filtered, cut, aborted or empty answer.
    """
    text, reason = choice.message.content or "", choice.finish_reason or ""
    if choice.message.refusal:
        raise failed("refusal", "The model refused.", reply=choice.message.refusal)
    if reason == "content_filter":
        raise failed("filter", "The service's content filter stopped the answer.", reply=text)
    if reason == "length":
        raise failed(
            "length",
            "The answer was cut at the token limit. Raise `max_tokens`.",
            reply=text,
            retryable=True,
        )
    if reason in _SERVER_FINISH:
        raise transient("server", f"The server ended the answer early ({reason}).", reply=text)
    if not text.strip():
        raise failed("empty", "The answer is empty.", retryable=True)
