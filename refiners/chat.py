"""Any model behind an OpenAI-compatible server as refiner: OpenAI, DeepSeek, Qwen, vLLM, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from phybench.refiners.paid_replies import PaidReplies
from phybench.refiners.replies import PARSER_VERSION, ReplyError, check_rewrite, read_json
from phybench.refiners.rewriting import (
    DEFAULT_BUDGET,
    REPLY_SCHEMA,
    Language,
    rewriting_task,
)
from pydantic import Field

from phybench.cache import default_folder
from phybench.contracts import Failure, PluginInfo, Refinement
from phybench.digest import text_digest, value_digest
from phybench.endpoint import ChatClient, ChatRequest, Endpoint, Reply
from phybench.errors import ConfigError
from phybench.metering import Usage

_UNUSABLE = frozenset({"parse", "empty", "leak", "language", "length"})
"""Failures of the reply, not of the service: another draw may be better."""


class Chat:
    """Rewrites prompts with a hosted chat model.

    The same system prompt goes to every model; the user's prompt is quoted as data. A reply that is
    cut, empty, refused, unreadable or that leaks reasoning is asked for again and then recorded as
    a failure; it never becomes the user's own prompt.

    Args:
        base_url: Address of the server up to the version, e.g. ``https://api.openai.com/v1``.
        model: The served model's id; a dated snapshot where the service has them.
        key_env: Environment variable that holds the key; empty for a server without keys.
        name: Name in tables; empty for the model's id.
        licence: Licence of the weights, or the service's terms.
        retires: Day from which the service no longer answers (``YYYY-MM-DD``), if announced. From
            then on the refiner is refused at once; an empty value tries all the same.
        instructions: Name of a bundled system prompt, or a text file.
        budget: Tokens that the generator reads; the instructions ask for a length that fits.
        language: ``english``, or ``any`` for the language of the prompt.
        structured: How the reply's form is enforced: ``schema`` (JSON schema), ``json`` (JSON
            mode) or ``none`` (the instructions alone).
        temperature: Sent if given; ``None`` for models that refuse it.
        top_p: Sent if given.
        send_seed: Send the item's seed; services promise best effort at most.
        max_tokens: Longest reply, a reasoning model's hidden tokens included.
        limit_field: What the service calls ``max_tokens``.
        extra: Further fields of the request's body (preset files only).
        tries: How often an unusable reply is asked for in all; a cut one with twice the tokens.
        concurrency: Most requests in flight.
        attempts: Most HTTP attempts per request when the service or the network fails.
        timeout_s: Longest time for one attempt, in seconds.
        deadline_s: Longest time for one request with its attempts and waits, in seconds.
        per_minute: Most attempts started per minute.
        usd_per_million_in: Price of a million prompt tokens; ``None`` if unknown.
        usd_per_million_out: Price of a million completion tokens; ``None`` if unknown.
        max_usd: No request is sent once this much is spent by this process.

    Raises:
        ConfigError: If the key is missing, the model has retired or options do not fit.
        MissingExtraError: If the extra ``api`` is not installed.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        key_env: str = "OPENAI_API_KEY",
        name: str = "",
        licence: str = "the service's terms",
        retires: str = "",
        instructions: str = "physics-v1",
        budget: Annotated[int, Field(ge=16)] = DEFAULT_BUDGET,
        language: Language = "english",
        structured: Literal["schema", "json", "none"] = "schema",
        temperature: Annotated[float, Field(ge=0, le=2)] | None = None,
        top_p: Annotated[float, Field(gt=0, le=1)] | None = None,
        send_seed: bool = True,
        max_tokens: Annotated[int, Field(ge=1)] = 1024,
        limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens",
        extra: Mapping[str, Any] | None = None,
        tries: Annotated[int, Field(ge=1)] = 2,
        concurrency: Annotated[int, Field(ge=1, le=256)] = 16,
        attempts: Annotated[int, Field(ge=1)] = 6,
        timeout_s: float = 120.0,
        deadline_s: float = 600.0,
        per_minute: float | None = None,
        usd_per_million_in: float | None = None,
        usd_per_million_out: float | None = None,
        max_usd: float | None = None,
    ) -> None:
        _check_retirement(name or model, retires)
        self._endpoint = Endpoint(
            base_url=base_url,
            model=model,
            key_env=key_env,
            timeout_s=timeout_s,
            budget_s=deadline_s,
            attempts=attempts,
            concurrency=concurrency,
            per_minute=per_minute,
            usd_per_million_in=usd_per_million_in,
            usd_per_million_out=usd_per_million_out,
            max_usd=max_usd,
        )
        self._endpoint.check()
        self._task = rewriting_task(instructions, budget=budget, language=language)
        self._schema = REPLY_SCHEMA if structured == "schema" else None
        self._body = _body(extra, structured, temperature=temperature, top_p=top_p)
        self._limit_field, self._max_tokens = limit_field, max_tokens
        self._send_seed, self._tries = send_seed, tries
        self._client: ChatClient | None = None
        self._paid: PaidReplies | None = None
        self.info = PluginInfo(
            name=name or model,
            revision=model,
            licence=licence,
            fingerprint={
                "base_url": base_url,
                "model": model,
                "instructions": self._task.digest,
                "language": language,
                "schema": self._schema,
                "body": self._body,
                "max_tokens": max_tokens,
                "send_seed": send_seed,
                "tries": tries,
                "parser": PARSER_VERSION,
            },
            max_batch=4 * concurrency,
            seeded=temperature != 0,
            extra="api",
        )

    @property
    def system_prompt(self) -> str:
        """What the model is told."""
        return self._task.system_prompt

    @property
    def usage(self) -> Usage:
        """Requests, tokens and dollars of this process so far, unusable replies included."""
        return self._client.usage if self._client else Usage()

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt; one result per prompt, in order.

        Failure kinds: those of :meth:`phybench.endpoint.ChatClient.complete` and of
        :class:`phybench.refiners.replies.ReplyError`.
        """
        keys = [self._key(text, seed) for text, seed in zip(prompts, seeds, strict=True)]
        results: list[Refinement | Failure | None] = [self._paid_for().get(key) for key in keys]
        open_rows = [row for row, result in enumerate(results) if result is None]
        for attempt in range(self._tries):
            self._ask(open_rows, prompts, seeds, keys, results, attempt=attempt)
            open_rows = [row for row in open_rows if _is_unusable(results[row])]
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()

    def _ask(
        self,
        rows: Sequence[int],
        prompts: Sequence[str],
        seeds: Sequence[int],
        keys: Sequence[str],
        results: list[Refinement | Failure | None],
        *,
        attempt: int,
    ) -> None:
        """Send the prompts of some rows and fill in their results as they arrive."""

        def arrived(position: int, reply: Reply | Failure) -> None:
            row = rows[position]
            result = self._read(reply, prompts[row], attempt)
            results[row] = result
            if isinstance(result, Refinement):
                self._paid_for().add(keys[row], result)

        requests = []
        for row in rows:
            cut = getattr(results[row], "kind", "") == "length"
            requests.append(self._request(prompts[row], seeds[row] + attempt, doubled=cut))
        if self._client is None:
            self._client = ChatClient(self._endpoint)
        self._client.complete(requests, on_result=arrived)

    def _request(self, prompt: str, seed: int, *, doubled: bool) -> ChatRequest:
        sampling = {**self._body, self._limit_field: self._max_tokens * (2 if doubled else 1)}
        if self._send_seed:
            sampling["seed"] = seed
        return ChatRequest(self._task.messages(prompt), schema=self._schema, sampling=sampling)

    def _read(self, reply: Reply | Failure, prompt: str, attempt: int) -> Refinement | Failure:
        if isinstance(reply, Failure):
            return reply
        try:
            rewrite = read_json(reply.text)
            check_rewrite(
                rewrite,
                prompt=prompt,
                instructions=self._task.system_prompt,
                language=self._task.language,
            )
        except ReplyError as error:
            retryable = error.kind != "refusal"
            return Failure(error.kind, str(error), retryable=retryable, reply=reply.text)
        return Refinement(
            text=rewrite.prompt,
            reasoning=rewrite.reasoning,
            tokens=reply.completion_tokens or None,
            finish_reason=reply.finish_reason or "stop",
            cost_usd=reply.cost_usd or 0.0,
            meta={
                "model": reply.model,
                "system_fingerprint": reply.system_fingerprint,
                "prompt_tokens": reply.prompt_tokens,
                "price_known": reply.cost_usd is not None,
                "latency_s": round(reply.latency_s, 3),
                "tries": attempt + 1,
            },
        )

    def _key(self, prompt: str, seed: int) -> str:
        return text_digest(prompt, str(seed if self.info.seeded else 0))

    def _paid_for(self) -> PaidReplies:
        if self._paid is None:
            name = f"{value_digest(self.info.fingerprint)}.jsonl"
            self._paid = PaidReplies(default_folder() / "replies" / name)
        return self._paid


def _is_unusable(result: Refinement | Failure | None) -> bool:
    return isinstance(result, Failure) and result.kind in _UNUSABLE


def _body(
    extra: Mapping[str, Any] | None, structured: str, **sampling: float | None
) -> dict[str, Any]:
    body = {
        **(extra or {}),
        **{name: value for name, value in sampling.items() if value is not None},
    }
    return {**body, "response_format": {"type": "json_object"}} if structured == "json" else body


def _check_retirement(name: str, retires: str) -> None:
    if not retires:
        return
    try:
        day = date.fromisoformat(retires)
    except ValueError as error:
        raise ConfigError(
            f"Expected `retires` to be a day as YYYY-MM-DD, but got {retires!r}."
        ) from error
    if datetime.now(UTC).date() >= day:
        raise ConfigError(
            f"`{name}` left its API on {retires}. Use recorded refinements "
            f"(`replay:file=…,as={name}`), another model, or `retires=` to try all the same."
        )
