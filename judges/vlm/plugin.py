"""Any vision-language model behind an OpenAI-compatible server as judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from phybench.errors import ConfigError
from phybench.plugins.contracts import LIKERT, Failure, JudgeRequest, PluginInfo, Score
from phybench.services.chat_client import ChatClient
from phybench.services.endpoint import Endpoint
from phybench.video.chat_parts import MediaForm

from .questions import (
    Choice,
    question_fingerprint,
    questioning,
    recorded_replies,
)
from .scoring import Combine, RecordedReplies, score_by_questions

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun


class Vlm:
    """Asks a served vision-language model for SA and PC.

    What is asked, how clips travel and how replies are read is a template, so that another judge
    is another yaml file (see ``judges/presets``). The default template is VideoPhy-2's two axes in
    our words, answered as JSON with the violated law and a reason.

    Args:
        model: The served model's id.
        base_url: Address of the server up to the version.
        key_env: Environment variable that holds the key; empty for a server without keys.
        name: Name in tables; empty for the model's id.
        licence: Licence of the weights, or the service's terms.
        template: ``rubric``, a yaml file, or (in preset files) the template itself.
        wording: Text file with the question, for templates that leave it open.
        asks: Names of the template's questions to ask, by default all.
        media: How clips travel (``images``, ``frames``, ``video``); empty for the template's.
        frames: Sampled frames; ``None`` for the template's.
        size: Longest side of sampled frames; ``None`` for the template's.
        temperature: Replaces the template's.
        max_tokens: Longest reply; ``None`` for the template's.
        extra: Further fields of the request's body (preset files); null takes a template's away.
        limit_field: What the service calls ``max_tokens``.
        structured: Send the template's JSON schemas, for servers that enforce them.
        samples: Replies per question.
        combine: ``vote`` (most frequent, the lower on a tie) or ``mean``.
        seed: Seed of the first sample.
        send_seed: Whether to send seeds at all.
        check_model: Before a run, ask the server whether it serves this model.
        concurrency: Most requests in flight.
        attempts: Most HTTP attempts per request when the service or the network fails.
        timeout_s: Longest time for one attempt, in seconds.
        deadline_s: Longest time for one request with its attempts and waits, in seconds.
        per_minute: Most attempts started per minute.
        usd_per_million_in: Price of a million prompt tokens; ``None`` if unknown.
        usd_per_million_out: Price of a million completion tokens; ``None`` if unknown.
        max_usd: No request is sent once this much is spent by this process.

    Raises:
        ConfigError: If the key is missing, the template is incomplete or options do not fit.
        MissingExtraError: If the extra ``api`` is not installed.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str = "http://127.0.0.1:8000/v1",
        key_env: str = "",
        name: str = "",
        licence: str = "the model's or service's own",
        template: str | dict[str, Any] = "rubric",
        wording: str = "",
        asks: list[str] | None = None,
        media: MediaForm | Literal[""] = "",
        frames: Annotated[int, Field(ge=1, le=768)] | None = None,
        size: Annotated[int, Field(ge=16, le=4096)] | None = None,
        temperature: Annotated[float, Field(ge=0, le=2)] | None = None,
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        extra: dict[str, Any] | None = None,
        limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens",
        structured: bool = True,
        samples: Annotated[int, Field(ge=1, le=64)] = 1,
        combine: Combine = "vote",
        seed: Annotated[int, Field(ge=0)] = 0,
        send_seed: bool = True,
        check_model: bool = True,
        concurrency: Annotated[int, Field(ge=1, le=256)] = 8,
        attempts: Annotated[int, Field(ge=1)] = 6,
        timeout_s: float = 300.0,
        deadline_s: float = 900.0,
        per_minute: float | None = None,
        usd_per_million_in: float | None = None,
        usd_per_million_out: float | None = None,
        max_usd: float | None = None,
    ) -> None:
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
        self._how = questioning(
            Choice(
                template=template,
                wording=wording,
                asks=asks,
                media=media,
                frames=frames,
                size=size,
                temperature=temperature,
                max_tokens=max_tokens,
                extra=extra,
            ),
            limit_field=limit_field,
            structured=structured,
            samples=samples,
            combine=combine,
            seed=seed if send_seed else None,
        )
        self._check_model = check_model
        self._client: ChatClient | None = None
        self.info = PluginInfo(
            name=name or model,
            revision=model,
            licence=licence,
            fingerprint={"base_url": base_url, "model": model, **question_fingerprint(self._how)},
            max_batch=2 * concurrency,
            scale=LIKERT,
            extra="api",
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips; rules are asked where the template has a wording for them."""
        return score_by_questions(requests, self._how, self._connected().complete)

    def reread(self, reply: str) -> Score | Failure:
        """Read a recorded reply again (see :class:`phybench.plugins.abilities.RereadsReplies`)."""
        return RecordedReplies(self._how).reread(reply)

    @staticmethod
    def rereader(**options: Any) -> RecordedReplies:
        """What reads the replies of a judge with these options."""
        return recorded_replies(options)

    def check(self, plan: PlannedRun) -> Sequence[str]:
        """Whether the server is there and serves the model, before any work."""
        if not self._check_model:
            return []
        try:
            served = self._connected().served_models()
        except ConfigError as error:
            return [str(error)]
        if self._endpoint.model in served:
            return []
        return [
            f"Expected {self._endpoint.base_url} to serve `{self._endpoint.model}`, but it serves "
            f"{', '.join(sorted(set(served))[:8]) or 'nothing'}. Give its id as `model`, or "
            "`check_model=false` if the service does not list its models."
        ]

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> ChatClient:
        if self._client is None:
            self._client = ChatClient(self._endpoint)
        return self._client
