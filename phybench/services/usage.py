"""What a client has used, counted across its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from phybench.plugins.contracts import Failure


@dataclass(frozen=True, slots=True)
class Usage:
    """What a client has used so far; failed answers count too, since they are billed.

    Args:
        requests: Requests answered or failed.
        attempts: HTTP requests sent for them.
        prompt_tokens: Tokens in.
        completion_tokens: Tokens out.
        cost_usd: US dollars, or ``None`` if prices are unknown.
    """

    requests: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


class Meter:
    """Counts requests, tokens and cost of all threads.

    Args:
        cost: US dollars for (prompt tokens, completion tokens), or ``None`` if unknown.
        max_usd: What may be spent, or ``None``.
    """

    def __init__(self, cost: Callable[[int, int], float | None], max_usd: float | None) -> None:
        self._cost = cost
        self._max_usd = max_usd
        self._lock = threading.Lock()
        self._requests = self._attempts = self._prompt = self._completion = 0

    @property
    def usage(self) -> Usage:
        """Everything so far."""
        with self._lock:
            tokens = self._prompt, self._completion
            return Usage(self._requests, self._attempts, *tokens, self._cost(*tokens))

    def count_request(self) -> None:
        """A request has ended, answered or failed."""
        with self._lock:
            self._requests += 1

    def count_attempt(self) -> None:
        """An HTTP request goes out."""
        with self._lock:
            self._attempts += 1

    def add(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Add an answer's tokens; returns what it cost."""
        with self._lock:
            self._prompt += prompt_tokens
            self._completion += completion_tokens
        return self._cost(prompt_tokens, completion_tokens)

    def over_limit(self) -> Failure | None:
        """The failure of a request that may not be sent any more."""
        limit, spent = self._max_usd, self.usage.cost_usd
        if limit is None or spent is None or spent < limit:
            return None
        return Failure(
            "cost-limit",
            f"${spent:.4f} are spent and `max_usd` is {limit}. Raise it to continue.",
            retryable=True,
        )
