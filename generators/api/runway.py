"""The generator ``runway``: Runway's own models and those it hosts, through its SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from phybench.errors import ConfigError
from phybench.plugins.contracts import ClipRequest, Failure
from phybench.services.retries import AttemptError, failed, transient

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
from .transport import check_base_url

_NAME = "runway"
_KEY = "RUNWAYML_API_SECRET"
_USD_PER_CREDIT = 0.01
_QUEUED = ("PENDING", "THROTTLED")


def runway(
    *,
    model: str = "gen4.5",
    ratio: str = "1280:720",
    duration: Annotated[int, Field(ge=1, le=60)] = 5,
    arguments: Arguments | None = None,
    seeded: bool = True,
    budget: Annotated[int, Field(ge=1)] = 1000,
    over_budget: OverBudget = "error",
    usd_per_second: Annotated[float, Field(ge=0)] | None = None,
    max_usd: Annotated[float, Field(gt=0)] | None = None,
    concurrency: Annotated[int, Field(ge=1, le=64)] = 2,
    poll_s: Annotated[float, Field(ge=0)] = 6.0,
    job_s: Annotated[float, Field(gt=0)] = 900.0,
    queue_s: Annotated[float, Field(gt=0)] = 3600.0,
    attempts: Annotated[int, Field(ge=1)] = 6,
    ledger: str = "",
    resubmit_ambiguous: bool = False,
    base_url: str = "https://api.dev.runwayml.com",
) -> HostedGenerator:
    """Clips from Runway's API.

    The key is read from ``RUNWAYML_API_SECRET``. Jobs are recorded before they are paid; see
    :mod:`phybench.generators.api.ledger`. Runway's moderation may refuse a prompt or a clip: such
    items are failures with the service's code, never scores.

    Args:
        model: Model id, e.g. ``gen4.5``.
        ratio: Size of the clip, width:height.
        duration: Length of the clip in whole seconds.
        arguments: Further fields of the request in the API's own spelling, such as
            ``{"promptExpansionMode": "disabled"}`` for models that rewrite prompts.
        seeded: Whether the model takes a seed.
        budget: Longest prompt in UTF-16 units; 1000 for Runway's own models.
        over_budget: What to do with longer prompts.
        usd_per_second: Price, for the ceiling before a job is made; Runway states its own after.
        max_usd: Most that all jobs in the ledger may cost.
        concurrency: Most jobs at once; Runway holds back what is above the account's limit.
        poll_s: Seconds between two questions for a job; Runway asks for at least 5.
        job_s: Longest time for a job from its start.
        queue_s: Longest time for a job in the queue.
        attempts: Most attempts of a request that is safe to repeat.
        ledger: File of the paid jobs; by default in phybench's cache folder.
        resubmit_ambiguous: Whether jobs of unknown outcome may be created once more.
        base_url: Address of the API.

    Raises:
        ConfigError: If the key is not set or an option is out of range.
        MissingExtraError: If the extra ``api`` is not installed.
    """
    require_api_extra(_NAME, "runwayml", "httpx", "tenacity")
    base = check_base_url(base_url)
    fixed = {"model": model, "ratio": ratio, "duration": duration, **(arguments or {})}
    if taken := {"promptText", "seed"} & set(fixed):
        raise ConfigError(
            f"Expected `arguments` to leave out {sorted(taken)}, which come from the run."
        )
    limits = make_limits(
        poll_s=poll_s,
        job_s=job_s,
        queue_s=queue_s,
        attempts=attempts,
        concurrency=concurrency,
        max_usd=max_usd,
        usd_per_clip=None if usd_per_second is None else duration * usd_per_second,
        resubmit_ambiguous=resubmit_ambiguous,
    )
    service = RunwayTasks(base, fixed, key_from(_KEY, _NAME), seeded=seeded)
    description = Description(
        name=model,
        model=model,
        licence="terms of Runway and of the model's vendor",
        fingerprint={
            "generator": "runway-1",
            "request": fixed,
            "seeded": seeded,
            "base_url": base,
        },
        budget=budget,
        over_budget=over_budget,
        concurrency=concurrency,
        usd_per_clip=limits.usd_per_clip,
    )
    paid = Ledger(ledger_path(ledger, _NAME))
    runner = JobRunner(_NAME, service, paid, limits, identity=base)
    return HostedGenerator(description, service, runner)


class RunwayTasks:
    """Runway's tasks through its SDK, with the SDK's own retries off."""

    def __init__(self, base: str, fixed: Mapping[str, Any], key: str, *, seeded: bool) -> None:
        self._base, self._fixed, self._key, self._seeded = base, fixed, key, seeded
        self._opened: Any = None

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    def body(self, request: ClipRequest) -> dict[str, Any]:
        """The request in the API's spelling."""
        seed = {"seed": request.seed} if self._seeded else {}
        return {"promptText": request.text, **self._fixed, **seed}

    def create(self, body: Mapping[str, Any]) -> Job:
        """Create a task; one attempt."""
        import httpx
        import runwayml

        try:
            made = self._client().post("/v1/text_to_video", body=dict(body), cast_to=object)
        except runwayml.APIStatusError as error:
            if error.status_code >= 500 or error.status_code == 408:
                raise AmbiguousCreateError(f"the service answered {error.status_code}") from None
            raise self._rejected(error) from None
        except runwayml.APIConnectionError as error:
            if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise transient("connection", "The service cannot be reached.") from None
            raise AmbiguousCreateError(f"the answer was lost: {error.__cause__!r}") from None
        except (runwayml.RunwayMLError, ValueError) as error:
            raise AmbiguousCreateError(f"the answer cannot be read: {error!r}") from None
        if not isinstance(made, dict) or not isinstance(made.get("id"), str):
            raise AmbiguousCreateError("the answer has no task id")
        return Job({"id": made["id"]}, _dollars(made.get("estimatedCost")))

    def look(self, job: Mapping[str, Any]) -> Waiting | Finished | Ended:
        """Ask for a task's state."""
        import runwayml

        try:
            task = self._client().get(f"/v1/tasks/{job['id']}", cast_to=object)
        except runwayml.APIStatusError as error:
            raise self._rejected(error) from None
        except runwayml.RunwayMLError as error:
            raise transient("connection", f"The service did not answer: {error!r}") from None
        except ValueError as error:
            raise transient("protocol", f"The answer cannot be read: {error!r}") from None
        return _state(task if isinstance(task, dict) else {})

    def _client(self) -> Any:
        if self._opened is None:
            import runwayml

            self._opened = runwayml.RunwayML(
                api_key=self._key, base_url=self._base, max_retries=0, timeout=60.0
            )
        return self._opened

    def _rejected(self, error: Any) -> AttemptError:
        text = str(error.body if error.body is not None else error).replace(self._key, "***")
        return rejected(error.status_code, text[:1000], error.response.headers)


def _state(task: Mapping[str, Any]) -> Waiting | Finished | Ended:
    status, usd = task.get("status"), _dollars(task.get("cost"))
    if status in _QUEUED:
        return Waiting(queued=True)
    if status == "RUNNING":
        return Waiting(queued=False)
    if status == "FAILED":
        return Ended(_failure(task), usd)
    if status == "CANCELLED":
        return Ended(Failure("cancelled", "The task was cancelled at the service."), usd)
    if status != "SUCCEEDED":
        raise failed("protocol", f"Unknown status {status!r} of a task.", retryable=True)
    output = task.get("output")
    if not isinstance(output, list) or not output or not isinstance(output[0], str):
        return Ended(Failure("protocol", "The finished task has no clip."), usd)
    return Finished(output[0], usd)


def _failure(task: Mapping[str, Any]) -> Failure:
    code = str(task.get("failureCode") or "")
    message = f"{code or 'no code'}: {task.get('failure') or 'no reason given'}"
    if code.startswith("SAFETY.OUTPUT"):
        return Failure("refused_output", f"The service withheld the clip, {message}")
    if code.startswith("SAFETY"):
        return Failure("refused_input", f"The service refused the prompt, {message}")
    return Failure("server", message, retryable=code.startswith("INTERNAL"))


def _dollars(cost: Any) -> float | None:
    credit = cost.get("credits") if isinstance(cost, dict) else None
    return float(credit) * _USD_PER_CREDIT if isinstance(credit, int | float) else None
