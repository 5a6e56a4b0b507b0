"""Talking to an OpenAI-compatible chat server: one retry policy, one budget, one way to fail.

No vendor's SDK: they disagree on ``Retry-After``, retry by themselves, and spend more time on a
request than the request takes. Answers are read as bytes with a size and a time limit and parsed
here, so that a broken server gives a :class:`Failure` and never an exception or a guess. Keys come
from the environment and are removed from every message.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure
from phybench.services.chat_completion import (
    ChatCompletion,
    TokenUsage,
    check_finish,
    first_problem,
    is_broken_json,
)
from phybench.services.endpoint import Endpoint
from phybench.services.retries import (
    AttemptError,
    Pace,
    failed,
    from_status,
    from_transport_error,
    transient,
    with_retries,
)
from phybench.services.usage import Meter, Usage

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 8 * 2**20
"""Longest body read from a server; a chat completion is some kilobytes."""
_SHORTEST_SECRET = 8
"""Characters from which a key is taken for a secret and not for a word such as ``EMPTY``."""
_OPENAI_HEADERS = {
    "OpenAI-Organization": "OPENAI_ORG_ID",
    "OpenAI-Project": "OPENAI_PROJECT_ID",
}
_STOPPING = frozenset({"auth", "credit", "cost-limit"})


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion to ask for.

    Args:
        messages: The conversation in OpenAI's message format, media parts included.
        schema: JSON schema that the answer shall follow, or ``None``. Every property required, no
            ranges: services differ in the rest, so ranges are checked by the reader.
        sampling: Parameters of the request's body: ``temperature``, ``max_completion_tokens``,
            ``seed``, ... and the server's own (``top_k``, ``media_io_kwargs``, ...).
    """

    messages: Sequence[Mapping[str, Any]]
    schema: Mapping[str, Any] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer.

    Args:
        text: The message's content, never empty.
        reasoning: Reasoning that the server gave apart from the content.
        finish_reason: Why the text ended, as the server says.
        model: The model that the server says has answered.
        prompt_tokens: Tokens of the request, if counted by the server, else 0.
        completion_tokens: Tokens of the answer, likewise.
        cost_usd: US dollars, or ``None`` if prices are unknown.
        latency_s: Seconds of the attempt that succeeded.
        system_fingerprint: The backend's own version mark, if given.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    latency_s: float = 0.0
    system_fingerprint: str = ""


class ChatClient:
    """Sends chat requests to an endpoint, several at a time.

    Args:
        endpoint: Where to, and the limits.
        sleep: Waits for seconds; tests pass their own.

    Raises:
        ConfigError: If the key or the extra ``api`` is missing.
    """

    def __init__(self, endpoint: Endpoint, *, sleep: Callable[[float], None] = time.sleep) -> None:
        endpoint.check()
        self._endpoint = endpoint
        self._key = endpoint.key()
        self._sleep = sleep
        self._http = _http_client(endpoint, self._key)
        self._meter = Meter(endpoint.cost, endpoint.max_usd)
        self._pace = Pace(endpoint.per_minute, sleep)

    @property
    def usage(self) -> Usage:
        """What all calls so far have used."""
        return self._meter.usage

    def complete(
        self,
        requests: Sequence[ChatRequest],
        *,
        on_result: Callable[[int, Reply | Failure], None] | None = None,
    ) -> list[Reply | Failure]:
        """Answer each request; one result per request, in order.

        ``on_result`` is called with each request's position and result as soon as it is there, in
        the thread that got it, so that what was paid for can be kept at once.

        Failure kinds: ``timeout``, ``connection``, ``rate-limit``, ``server`` (retried here up to
        the budget, then retryable), ``empty`` and ``length`` (retryable), ``refusal``, ``filter``,
        ``parse``, ``request``, and ``auth``, ``credit``, ``cost-limit``, after which the remaining
        requests of the call fail alike without being sent.
        """
        stopped: list[Failure] = []

        def answer(position: int, request: ChatRequest) -> Reply | Failure:
            result = stopped[0] if stopped else self._answer(request)
            if isinstance(result, Failure) and result.kind in _STOPPING:
                stopped.append(result)
            if on_result is not None:
                on_result(position, result)
            return result

        with ThreadPoolExecutor(self._endpoint.concurrency) as pool:
            return list(pool.map(answer, range(len(requests)), requests))

    def served_models(self) -> list[str]:
        """Ids (and vLLM's ``root`` names) that the server offers, for a check before work.

        Raises:
            ConfigError: If the server cannot be asked.
        """
        try:
            status, body, _ = self._exchange("GET", "models")
            if status >= 400:
                raise from_status(status, body, {}, self._scrub)
            entries = [(model["id"], model.get("root")) for model in json.loads(body)["data"] or []]
        except (AttemptError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"Expected a model server at {self._endpoint.base_url}, but it did not list its "
                f"models: {self._scrub(str(error))}"
            ) from None
        return [str(name) for entry in entries for name in entry if name]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _answer(self, request: ChatRequest) -> Reply | Failure:
        if failure := self._meter.over_limit():
            return failure
        try:
            return with_retries(
                partial(self._attempt, request),
                attempts=self._endpoint.attempts,
                budget_s=self._endpoint.budget_s,
                sleep=self._sleep,
            )
        except AttemptError as error:
            return error.failure
        finally:
            self._meter.count_request()

    def _attempt(self, request: ChatRequest) -> Reply:
        self._pace.wait()
        self._meter.count_attempt()
        started = time.monotonic()
        body = _request_body(self._endpoint.model, request)
        status, answer, headers = self._exchange("POST", "chat/completions", body)
        if status >= 400:
            raise from_status(status, answer, headers, self._scrub)
        return self._read(answer, time.monotonic() - started)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of one request, within the limits of size and time."""
        import httpx

        limit_s = self._endpoint.timeout_s
        deadline = time.monotonic() + limit_s
        chunks, size = [], 0
        try:
            # Written here, so that a text that is no UTF-8 fails as the caller's request.
            content = json.dumps(body, ensure_ascii=False).encode() if body else None
            with self._http.stream(method, path, content=content) as response:
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    chunks.append(chunk)
                    if size > MAX_REPLY_BYTES:
                        raise failed("parse", f"The reply is longer than {MAX_REPLY_BYTES} bytes.")
                    if time.monotonic() > deadline:
                        raise transient("timeout", f"No reply within {limit_s} s.")
                return response.status_code, self._scrub_reply(b"".join(chunks)), response.headers
        except (httpx.HTTPError, httpx.StreamError, OSError, UnicodeError) as error:
            raise from_transport_error(error, self._scrub) from None

    def _read(self, body: bytes, latency_s: float) -> Reply:
        try:
            completion = ChatCompletion.model_validate_json(body)
        except ValidationError as error:
            problem = f"The server's reply is no chat completion: {first_problem(error)}."
            text = body[:2000].decode("utf-8", "replace")
            # A body that is not even JSON was cut or mangled on the way; asking again may help.
            kind = transient if is_broken_json(body) else failed
            raise kind("parse", problem, reply=text) from None
        used = completion.usage or TokenUsage()
        prompt, answer = used.prompt_tokens or 0, used.completion_tokens or 0
        cost = self._meter.add(prompt, answer)
        choice = completion.choices[0]
        check_finish(choice)
        return Reply(
            text=choice.message.content or "",
            reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
            finish_reason=choice.finish_reason or "",
            model=completion.model or "",
            prompt_tokens=prompt,
            completion_tokens=answer,
            cost_usd=cost,
            latency_s=latency_s,
            system_fingerprint=completion.system_fingerprint or "",
        )

    def _scrub_reply(self, body: bytes) -> bytes:
        """Take the key out of what will be recorded, if a proxy or debugging server repeats it.

        Words that stand in for a key (``EMPTY``) are no secret and may be the answer's own.
        """
        secret = self._endpoint.key_env and len(self._key) >= _SHORTEST_SECRET
        return body.replace(self._key.encode(), b"[key]") if secret else body

    def _scrub(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._endpoint.key_env else text


def _http_client(endpoint: Endpoint, key: str) -> httpx.Client:
    """A client that keeps as many connections open as requests may be in flight."""
    import httpx

    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if endpoint.key_env == "OPENAI_API_KEY":
        # The account's own division of that key, as OpenAI's clients send it.
        for header, name in _OPENAI_HEADERS.items():
            if value := os.environ.get(name):
                headers[header] = value
    most = endpoint.concurrency
    return httpx.Client(
        base_url=endpoint.base_url,
        headers=headers,
        timeout=endpoint.timeout_s,
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
        follow_redirects=True,
    )


def _request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": list(request.messages),
        **request.sampling,
    }
    if request.schema is not None:
        answer = {"name": "answer", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": answer}
    return body
