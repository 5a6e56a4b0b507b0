"""Any model behind an OpenAI-compatible server as refiner: OpenAI, DeepSeek, Qwen, vLLM, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure, PluginInfo, Refinement
from phybench.prompts.length_budget import Shortening
from phybench.services.endpoint import Endpoint
from phybench.services.usage import Usage

from .language_model.chat_model import (
    Answer,
    ChatModel,
    LimitField,
    ModelSettings,
    Question,
    Structured,
)
from .rewriting.replies import (
    PARSER_VERSION,
    Rewrite,
    check_rewrite,
    read_json_reply,
)
from .rewriting.task import (
    DEFAULT_BUDGET,
    REPLY_SCHEMA,
    Language,
    RewritingTask,
    rewriting_task,
)


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
        structured: Structured = "schema",
        temperature: Annotated[float, Field(ge=0, le=2)] | None = None,
        top_p: Annotated[float, Field(gt=0, le=1)] | None = None,
        send_seed: bool = True,
        max_tokens: Annotated[int, Field(ge=1)] = 1024,
        limit_field: LimitField = "max_completion_tokens",
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
        self._task = rewriting_task(instructions, budget=budget, language=language)
        settings = ModelSettings(
            endpoint=Endpoint(
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
            ),
            structured=structured,
            body=_body(extra, temperature=temperature, top_p=top_p),
            max_tokens=max_tokens,
            limit_field=limit_field,
            send_seed=send_seed,
            tries=tries,
            sampled=temperature != 0,
        )
        settings.endpoint.check()
        self.model = ChatModel(settings)
        self.info = PluginInfo(
            name=name or model,
            revision=model,
            licence=licence,
            fingerprint={
                **settings.fingerprint,
                "instructions": self._task.digest,
                "language": language,
                "parser": PARSER_VERSION,
            },
            max_batch=4 * concurrency,
            seeded=settings.sampled,
            extra="api",
        )

    @property
    def system_prompt(self) -> str:
        """What the model is told."""
        return self._task.system_prompt

    @property
    def usage(self) -> Usage:
        """Requests, tokens and dollars of this process so far, unusable replies included."""
        return self.model.usage

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt; one result per prompt, in order.

        Failure kinds: as of :meth:`phybench.refiners.language_model.chat_model.ChatModel.ask`.
        """
        return self._asked(
            [
                self._question(self._task, text, seed)
                for text, seed in zip(prompts, seeds, strict=True)
            ]
        )

    def shorten(
        self, asked: Sequence[Shortening], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Write texts again that were too long for a generator; failures as of :meth:`refine`."""
        return self._asked(
            [
                self._question(self._task.shorter(one), one.prompt, seed, too_long=one.text)
                for one, seed in zip(asked, seeds, strict=True)
            ]
        )

    def _question(
        self, task: RewritingTask, prompt: str, seed: int, **material: str
    ) -> Question[Rewrite]:
        read = partial(_read, task, prompt)
        return Question(task.messages(prompt, **material), seed, read, REPLY_SCHEMA)

    def _asked(self, questions: Sequence[Question[Rewrite]]) -> list[Refinement | Failure]:
        return [
            answer if isinstance(answer, Failure) else _refinement(answer)
            for answer in self.model.ask(questions)
        ]

    def close(self) -> None:
        """Close the connections."""
        self.model.close()


def _read(task: RewritingTask, prompt: str, reply: str) -> Rewrite:
    rewrite = read_json_reply(reply)
    check_rewrite(rewrite, prompt=prompt, instructions=task.system_prompt, language=task.language)
    return rewrite


def _refinement(answer: Answer[Rewrite]) -> Refinement:
    reply = answer.reply
    return Refinement(
        text=answer.value.prompt,
        reasoning=answer.value.reasoning,
        tokens=reply.completion_tokens or None,
        finish_reason=reply.finish_reason or "stop",
        cost_usd=reply.cost_usd or 0.0,
        meta={
            "model": reply.model,
            "system_fingerprint": reply.system_fingerprint,
            "prompt_tokens": reply.prompt_tokens,
            "price_known": reply.cost_usd is not None,
            "latency_s": round(reply.latency_s, 3),
        },
    )


def _body(extra: Mapping[str, Any] | None, **sampling: float | None) -> dict[str, Any]:
    given = {name: value for name, value in sampling.items() if value is not None}
    return {**(extra or {}), **given}


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
