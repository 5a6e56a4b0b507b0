"""Where a chat server is, and how it may be asked."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from phybench.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model behind an OpenAI-compatible server, and how hard to press it.

    Args:
        base_url: Address up to and including the version, e.g. ``http://127.0.0.1:8000/v1``.
        model: The served model's id.
        key_env: Environment variable that holds the key; empty for a server without keys.
        timeout_s: Longest time for one attempt, in seconds.
        budget_s: Longest time for one request with all its attempts and waits, in seconds.
        attempts: Most attempts per request.
        concurrency: Most requests in flight.
        per_minute: Most attempts started per minute; ``None`` for no limit.
        usd_per_million_in: Price of a million prompt tokens; ``None`` if unknown.
        usd_per_million_out: Price of a million completion tokens; ``None`` if unknown.
        max_usd: No new request is sent once this much is spent (those in flight still finish).

    Raises:
        ConfigError: If a value cannot work.
    """

    base_url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    budget_s: float = 600.0
    attempts: int = 6
    concurrency: int = 8
    per_minute: float | None = None
    usd_per_million_in: float | None = None
    usd_per_million_out: float | None = None
    max_usd: float | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ConfigError(
                f"Expected `base_url` to be an http(s) address, but got {self.base_url!r}."
            )
        if url.username or url.password:
            raise ConfigError(
                "Expected `base_url` to hold no credentials. Put the key into an environment "
                "variable and name it in `key_env`."
            )
        if not self.model:
            raise ConfigError("Expected `model` to name the served model, but it is empty.")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("attempts", "concurrency"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Expected `{name}` to be ≥ 1, but got {getattr(self, name)}.")
        for name in ("timeout_s", "budget_s", "per_minute", "max_usd"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"Expected `{name}` to be > 0 and finite, but got {value}.")
        prices = (self.usd_per_million_in, self.usd_per_million_out)
        if any(price is not None and not 0 <= price < math.inf for price in prices):
            raise ConfigError(f"Expected prices to be ≥ 0 and finite, but got {prices}.")
        if self.max_usd is not None and None in prices:
            raise ConfigError(
                "Expected `usd_per_million_in` and `usd_per_million_out` to be given with "
                "`max_usd`: without prices the limit cannot be kept."
            )

    def check(self) -> None:
        """Raise now what would stop every request later.

        Raises:
            MissingExtraError: If the extra ``api`` is not installed.
            ConfigError: If the environment variable with the key is not set.
        """
        _require_api_extra(self.model)
        self.key()

    def key(self) -> str:
        """The key from the environment; a placeholder for servers without keys.

        Raises:
            ConfigError: If the variable is not set.
        """
        if not self.key_env:
            return "none"
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise ConfigError(
                f"Expected the environment variable `{self.key_env}` to hold the key for "
                f"{self.base_url}, but it is not set. For a server without keys give an empty "
                "`key_env`."
            )
        return key

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """US dollars for these tokens, or ``None`` if a price is unknown."""
        if self.usd_per_million_in is None or self.usd_per_million_out is None:
            return None
        return (
            prompt_tokens * self.usd_per_million_in + completion_tokens * self.usd_per_million_out
        ) / 1e6


def _require_api_extra(model: str) -> None:
    from importlib.util import find_spec

    for module in ("httpx", "tenacity"):
        if find_spec(module) is None:
            raise MissingExtraError(f"model `{model}`", module, "api")
