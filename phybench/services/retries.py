"""When a request to a service is worth repeating, how long to wait, and what it failed of.

One policy for every service, because the vendors' SDKs disagree: on ``Retry-After: 300`` one gives
up, one sleeps through it without a bound and one hammers the server.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from phybench.plugins.contracts import Failure

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
_BACKOFF_START_S, _BACKOFF_MAX_S = 1.0, 30.0
_NO_CREDIT = frozenset({"insufficient_quota", "billing_error", "credit_balance_exhausted"})
_MODERATION = frozenset({"moderation_blocked", "content_policy_violation", "content_filter"})


class AttemptError(Exception):
    """An attempt that gave no reply."""

    def __init__(self, failure: Failure, retry_after_s: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after_s = retry_after_s


class TransientError(AttemptError):
    """An attempt that is worth repeating at once."""


def failed(kind: str, message: str, *, reply: str = "", retryable: bool = False) -> AttemptError:
    """An end that repeating would not change now."""
    return AttemptError(Failure(kind, message, retryable=retryable, reply=reply))


def transient(
    kind: str, message: str, *, reply: str = "", retry_after_s: float | None = None
) -> TransientError:
    """An end that the next attempt may not meet."""
    return TransientError(Failure(kind, message, retryable=True, reply=reply), retry_after_s)


def from_transport_error(error: Exception, scrub: Callable[[str], str]) -> AttemptError:
    """What the HTTP library raised, as an attempt's failure."""
    import httpx

    message = scrub(str(error))[:1000] or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return transient("timeout", f"The server did not answer in time: {message}")
    if isinstance(error, UnicodeError):
        return failed("request", f"The request cannot be written as UTF-8: {message}")
    return transient("connection", f"The connection broke: {message}")


def from_status(
    status: int, body: bytes, headers: Mapping[str, str], scrub: Callable[[str], str]
) -> AttemptError:
    """A chat server's refusal, sorted by what can be done about it.

    Args:
        status: HTTP status of 400 or above.
        body: What it said.
        headers: The response's headers.
        scrub: Removes secrets.
    """
    message = f"status {status}: {scrub(body[:1000].decode('utf-8', 'replace'))}"
    marks, wait = _marks(body), retry_after_s(headers)
    if status == 402 or marks & _NO_CREDIT:
        return failed("credit", f"The account has no credit: {message}", retryable=True)
    if status in {401, 403}:
        return failed("auth", f"The service refused the key: {message}", retryable=True)
    if status == 429:
        return transient("rate-limit", message, retry_after_s=wait)
    if status in {408, 409} or status >= 500:
        return transient("server", message, retry_after_s=wait)
    if marks & _MODERATION:
        return failed("filter", f"The service refused the input: {message}")
    return failed("request", f"The server rejected the request: {message}")


def _marks(body: bytes) -> set[str]:
    """The words by which an error body (``{"error": {"type": …, "code": …}}``) names its kind."""
    try:
        data = json.loads(body)
    except ValueError:
        return set()
    error = data.get("error", data) if isinstance(data, dict) else None
    return {str(error.get(name)) for name in ("type", "code")} if isinstance(error, dict) else set()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait (``Retry-After``: seconds or an HTTP date)."""
    from email.utils import parsedate_to_datetime

    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def with_retries(
    attempt: Callable[[], T],
    *,
    attempts: int,
    budget_s: float,
    sleep: Callable[[float], None],
) -> T:
    """Attempt something until it succeeds, fails for good, or attempts or time are used up.

    Args:
        attempt: Raises :class:`TransientError` if it is worth repeating.
        attempts: Most attempts.
        budget_s: Longest time for all of them with their waits, in seconds.
        sleep: Waits for seconds.

    Raises:
        AttemptError: The last attempt's.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay

    retrying = Retrying(
        stop=stop_after_attempt(attempts) | stop_before_delay(budget_s),
        wait=wait_s,
        retry=retry_if_exception_type(TransientError),
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)


def wait_s(state: RetryCallState) -> float:
    """Exponential back-off with full jitter, never less than the server asks for.

    A wait that the server asks for and that does not fit into the budget ends the retries
    (``stop_before_delay``), so one header cannot block a run, nor be ignored.
    """
    from tenacity import wait_random_exponential

    backoff = wait_random_exponential(multiplier=_BACKOFF_START_S, max=_BACKOFF_MAX_S)(state)
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, TransientError) else None
    # Jitter on top of the server's number keeps parallel requests from returning together.
    return backoff if asked is None else asked + min(backoff, 1.0)


class Pace:
    """Spaces the attempts of all threads evenly.

    Args:
        per_minute: Most attempts per minute, or ``None``.
        sleep: Waits for seconds.
    """

    def __init__(self, per_minute: float | None, sleep: Callable[[float], None]) -> None:
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Sleep until this thread's turn."""
        if not self._gap_s:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap_s
        if start > now:
            self._sleep(start - now)
