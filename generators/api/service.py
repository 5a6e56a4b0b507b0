"""What a hosted service must be able to do, and how its answers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from phybench.plugins.contracts import ClipRequest, Failure
from phybench.services.retries import AttemptError, failed, retry_after_s, transient

_MODERATION = ("content_policy_violation", "moderation", "safety")


class AmbiguousCreateError(Exception):
    """A create request whose outcome is unknown: there may be a job, and it may be paid."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that the service has accepted.

    Args:
        data: What is needed to ask for it again (JSON values only).
        usd: What it is estimated to cost, if the service says.
    """

    data: Mapping[str, Any]
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that is not finished.

    Args:
        queued: Whether it has not begun; queueing does not count against the time limit.
    """

    queued: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """A job with a clip.

    Args:
        url: Where the clip can be fetched; a secret while it lasts.
        usd: What it cost, if the service says.
        meta: What the service said of the clip (JSON values only, no addresses).
    """

    url: str
    usd: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A job without a clip.

    Args:
        failure: Why.
        usd: What it cost nevertheless, if the service says.
    """

    failure: Failure
    usd: float | None = None


class VideoService(Protocol):
    """A hosted text-to-video service."""

    def body(self, request: ClipRequest) -> Mapping[str, Any]:
        """The request as it will be sent, which is also what the job's key is made of."""
        ...

    def create(self, body: Mapping[str, Any]) -> Job:
        """Create a job; one attempt.

        Raises:
            AttemptError: If there is certainly no job.
            AmbiguousCreateError: If nobody can know.
        """
        ...

    def look(self, job: Mapping[str, Any]) -> Waiting | Finished | Ended:
        """Ask for a job's state; one attempt.

        Raises:
            AttemptError: If the question was not answered.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def rejected(status: int, text: str, headers: Mapping[str, str]) -> AttemptError:
    """A refusal of the service, sorted by what can be done about it.

    Args:
        status: HTTP status of 400 or above.
        text: The body's beginning, without secrets.
        headers: The response's headers.
    """
    moderated = any(word in text.lower() for word in _MODERATION)
    if status in {408, 429} or status >= 500:
        return _busy(status, text, headers)
    if status == 402:
        return failed("credit", f"The account has no credit: {text}", retryable=True)
    if moderated:
        return failed("refused_input", f"The service refused the prompt: {text}")
    if status in {401, 403}:
        return failed("auth", f"The service refused the key: {text}", retryable=True)
    return failed("request", f"The service rejected the request ({status}): {text}")


def _busy(status: int, text: str, headers: Mapping[str, str]) -> AttemptError:
    if status == 429 and "daily" in text.lower():
        return failed("daily-limit", f"The daily limit is reached: {text}", retryable=True)
    kind = "rate-limit" if status == 429 else "server"
    return transient(kind, text, retry_after_s=retry_after_s(headers))
