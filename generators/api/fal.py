"""The generator ``fal``: Pika, Kling, Veo, Wan and others through fal's queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from phybench.errors import ConfigError
from phybench.plugins.contracts import ClipRequest, Failure
from phybench.services.retries import failed

from .hosted import Description, HostedGenerator, OverBudget
from .jobs import JobRunner
from .ledger import Ledger
from .options import (
    Arguments,
    key_from,
    ledger_path,
    make_limits,
    require_api_extra,
)
from .service import (
    AmbiguousCreateError,
    Ended,
    Finished,
    Job,
    Waiting,
    rejected,
)
from .transport import (
    HttpAnswer,
    ask,
    check_base_url,
    excerpt,
    new_client,
    submit,
)

_NAME = "fal"
_REFUSALS = ("content_policy_violation",)
_MAX_SEED = 2**31
_TOLD = ("seed", "actual_prompt")


def fal(
    *,
    endpoint: str,
    arguments: Arguments | None = None,
    seed_argument: str = "seed",
    seconds: Annotated[float, Field(gt=0)] | None = None,
    budget: Annotated[int, Field(ge=1)] | None = None,
    over_budget: OverBudget = "error",
    usd_per_second: Annotated[float, Field(ge=0)] | None = None,
    max_usd: Annotated[float, Field(gt=0)] | None = None,
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4,
    poll_s: Annotated[float, Field(ge=0)] = 6.0,
    job_s: Annotated[float, Field(gt=0)] = 900.0,
    queue_s: Annotated[float, Field(gt=0)] = 3600.0,
    attempts: Annotated[int, Field(ge=1)] = 6,
    ledger: str = "",
    resubmit_ambiguous: bool = False,
    base_url: str = "https://queue.fal.run",
) -> HostedGenerator:
    """Clips from a model behind fal's queue.

    Every argument that the endpoint has a default for belongs into `arguments`, above all the one
    that lets the vendor rewrite prompts: in a study of prompt refiners it must be off, or recorded.
    The presets ``pika``, ``kling``, ``veo``, ``hailuo`` and ``wan-hosted`` do so.

    The key is read from ``FAL_KEY``. Jobs are recorded before they are paid; see
    :mod:`phybench.generators.api.ledger`.

    Args:
        endpoint: Model id, e.g. ``fal-ai/pika/v2.2/text-to-video``.
        arguments: The model's input besides prompt and seed.
        seed_argument: Name of the seed in the input; empty if the model takes none.
        seconds: Length of a clip, for the estimated price.
        budget: Longest prompt in UTF-16 units, if the model has a limit.
        over_budget: What to do with longer prompts.
        usd_per_second: Price, for the estimate and the ceiling; unknown if not given.
        max_usd: Most that all jobs in the ledger may cost.
        concurrency: Most jobs at once; fal queues what is above the account's limit.
        poll_s: Seconds between two questions for a job.
        job_s: Longest time for a job from its start.
        queue_s: Longest time for a job in the queue.
        attempts: Most attempts of a request that is safe to repeat.
        ledger: File of the paid jobs; by default in phybench's cache folder.
        resubmit_ambiguous: Whether jobs of unknown outcome may be created once more.
        base_url: Address of the queue.

    Raises:
        ConfigError: If the key is not set or an option is out of range.
        MissingExtraError: If the extra ``api`` is not installed.
    """
    require_api_extra(_NAME, "httpx", "tenacity")
    fixed = dict(arguments or {})
    _check_endpoint(endpoint, fixed, seed_argument)
    base = check_base_url(base_url)
    priced = seconds is not None and usd_per_second is not None
    limits = make_limits(
        poll_s=poll_s,
        job_s=job_s,
        queue_s=queue_s,
        attempts=attempts,
        concurrency=concurrency,
        max_usd=max_usd,
        usd_per_clip=(seconds or 0) * (usd_per_second or 0) if priced else None,
        resubmit_ambiguous=resubmit_ambiguous,
    )
    service = FalQueue(base, endpoint, fixed, seed_argument, key_from("FAL_KEY", _NAME))
    description = Description(
        name=endpoint.split("/")[1],
        model=endpoint,
        licence="terms of fal and of the model's vendor",
        fingerprint={
            "generator": "fal-1",
            "endpoint": endpoint,
            "arguments": fixed,
            "seed_argument": seed_argument,
            "base_url": base,
        },
        budget=budget,
        over_budget=over_budget,
        concurrency=concurrency,
        usd_per_clip=limits.usd_per_clip,
    )
    paid = Ledger(ledger_path(ledger, _NAME))
    runner = JobRunner(_NAME, service, paid, limits, identity=f"{base}/{endpoint}")
    return HostedGenerator(description, service, runner)


class FalQueue:
    """fal's queue protocol: submit, ask for the status, fetch the result.

    The vendor's client is not used: it always speaks https to one host, repeats a submit up to ten
    times, which may pay ten times, and ignores ``Retry-After``.
    """

    def __init__(
        self, base: str, endpoint: str, arguments: Mapping[str, Any], seed: str, key: str
    ) -> None:
        self._base, self._endpoint = base, endpoint
        self._arguments, self._seed = arguments, seed
        self._client = new_client({"Authorization": f"Key {key}"})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def body(self, request: ClipRequest) -> dict[str, Any]:
        """The model's input."""
        seed = {self._seed: request.seed % _MAX_SEED} if self._seed else {}
        return {"prompt": request.text, **self._arguments, **seed}

    def create(self, body: Mapping[str, Any]) -> Job:
        """Submit a job; one attempt."""
        answer = submit(self._client, f"{self._base}/{self._endpoint}", body)
        data = answer.data if isinstance(answer.data, dict) else {}
        names = ("request_id", "status_url", "response_url")
        if not all(isinstance(data.get(name), str) for name in names):
            raise AmbiguousCreateError(f"the answer has no job: {excerpt(answer.data)}")
        return Job({name: data[name] for name in names})

    def look(self, job: Mapping[str, Any]) -> Waiting | Finished | Ended:
        """Ask for the status, and for the result once there is one."""
        answer = ask(self._client, self._own(str(job["status_url"])))
        if answer.status >= 400:
            raise rejected(answer.status, excerpt(answer.data), answer.headers)
        status = answer.data.get("status") if isinstance(answer.data, dict) else None
        if status == "IN_QUEUE":
            return Waiting(queued=True)
        if status == "IN_PROGRESS":
            return Waiting(queued=False)
        if status != "COMPLETED":
            raise failed("protocol", f"Unknown status {status!r} of a job.", retryable=True)
        return self._result(ask(self._client, self._own(str(job["response_url"]))))

    def _own(self, url: str) -> str:
        """An address that the service gave, if it is the service's: the key goes nowhere else."""
        given, own = urlsplit(url), urlsplit(self._base)
        if (given.scheme, given.netloc) != (own.scheme, own.netloc):
            raise failed("protocol", "The service named an address that is not its own.")
        return url

    def _result(self, answer: HttpAnswer) -> Finished | Waiting | Ended:
        if answer.status == 400 and "in progress" in excerpt(answer.data):
            return Waiting(queued=False)
        if answer.status >= 400:
            return Ended(_failure(answer), usd=0.0 if answer.status >= 500 else None)
        video = answer.data.get("video") if isinstance(answer.data, dict) else None
        if not isinstance(video, dict) or not isinstance(video.get("url"), str):
            return Ended(Failure("protocol", f"The result has no clip: {excerpt(answer.data)}"))
        told = {name: answer.data[name] for name in _TOLD if name in answer.data}
        return Finished(video["url"], meta=told)


def _failure(answer: HttpAnswer) -> Failure:
    text = excerpt(answer.data)
    if any(word in text for word in _REFUSALS):
        return Failure("refused_input", f"The service refused the prompt: {text}")
    retryable = answer.headers.get("x-fal-retryable", "").lower() == "true" or answer.status >= 500
    return Failure("server" if retryable else "request", text, retryable=retryable)


def _check_endpoint(endpoint: str, arguments: Mapping[str, Any], seed_argument: str) -> None:
    parts = endpoint.split("/")
    if len(parts) < 2 or not all(parts) or "://" in endpoint:
        raise ConfigError(
            f"Expected `endpoint` to be a model id such as `fal-ai/pika/v2.2/text-to-video`, but "
            f"got {endpoint!r}."
        )
    if taken := {"prompt", seed_argument} & set(arguments):
        raise ConfigError(
            f"Expected `arguments` to leave out {sorted(taken)}, which come from the run."
        )
