"""Running a paid job from its request to a clip on disk."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from phybench.machine.digest import canonical_json, text_digest
from phybench.plugins.contracts import ClipRequest, Failure, VideoFile
from phybench.services.retries import AttemptError, with_retries
from phybench.video.video_file import VideoError, probe

from .ledger import CeilingError, Entry, Ledger
from .service import (
    AmbiguousCreateError,
    Ended,
    Finished,
    Job,
    VideoService,
    Waiting,
)
from .transport import download

T = TypeVar("T")
_STOPPING = frozenset({"auth", "credit", "daily-limit", "cost-limit"})


@dataclass(frozen=True, slots=True)
class JobLimits:
    """How long to wait and how much to spend.

    Args:
        poll_s: Seconds between two questions for a job; services ask for at least 5.
        job_s: Longest time for a job from its start.
        queue_s: Longest time for a job in the queue.
        attempts: Most attempts of a request that is safe to repeat.
        retry_budget_s: Longest time for all attempts of one request.
        concurrency: Most jobs at once.
        max_usd: Most that the ledger's jobs may cost in all, or ``None``.
        usd_per_clip: Estimated price of a clip, or ``None`` if unknown.
        resubmit_ambiguous: Whether jobs of unknown outcome may be created once more.
    """

    poll_s: float
    job_s: float
    queue_s: float
    attempts: int
    retry_budget_s: float
    concurrency: int
    max_usd: float | None
    usd_per_clip: float | None
    resubmit_ambiguous: bool


class JobRunner:
    """Makes clips through a service, each of them paid at most once.

    Args:
        name: Name of the generator.
        service: The service.
        ledger: Where paid jobs are recorded before they are paid.
        limits: Time and money.
        identity: What tells this service's requests from another's (address, model).
    """

    def __init__(
        self,
        name: str,
        service: VideoService,
        ledger: Ledger,
        limits: JobLimits,
        *,
        identity: str,
    ) -> None:
        self._name = name
        self._service = service
        self._ledger = ledger
        self._limits = limits
        self._identity = identity

    def run(self, requests: Sequence[ClipRequest]) -> list[VideoFile | Failure]:
        """Make one clip per request.

        After a failure that the next request would meet as well (key, credit, ceiling) the rest
        fail alike without being sent.
        """
        stopped: list[Failure] = []

        def one(request: ClipRequest) -> VideoFile | Failure:
            result = stopped[0] if stopped else self._clip(request)
            if isinstance(result, Failure) and result.kind in _STOPPING:
                stopped.append(result)
            return result

        with ThreadPoolExecutor(self._limits.concurrency) as pool:
            return list(pool.map(one, requests))

    def _clip(self, request: ClipRequest) -> VideoFile | Failure:
        body = self._service.body(request)
        seed = str(request.seed)
        key = text_digest("api", self._identity, canonical_json(dict(body)), seed, str(request.k))
        try:
            job = self._job(key, body)
            return job if isinstance(job, Failure) else self._collect(key, job)
        except AttemptError as error:
            return error.failure

    def _job(self, key: str, body: Mapping[str, Any]) -> Job | Failure:
        """The job of a clip: the recorded one, or a new one within the ceiling."""
        limits = self._limits
        try:
            found = self._ledger.claim(
                key,
                self._limits.usd_per_clip,
                again=limits.resubmit_ambiguous,
                max_usd=limits.max_usd,
            )
        except CeilingError as error:
            return _over_ceiling(error.spent, limits.max_usd)
        return self._create(key, body) if found is None else self._recorded(found)

    def _recorded(self, entry: Entry) -> Job | Failure:
        if entry.state in {"submitting", "ambiguous"}:
            return _ambiguous(self._name)
        if entry.state == "failed":
            return Failure(**entry.failure)
        return Job(entry.job, entry.usd)

    def _create(self, key: str, body: Mapping[str, Any]) -> Job | Failure:
        try:
            job = self._with_retries(lambda: self._service.create(body))
        except AmbiguousCreateError as error:
            self._ledger.record(key, Entry("ambiguous", usd=self._limits.usd_per_clip))
            return _ambiguous(self._name, str(error))
        except AttemptError:
            self._ledger.record(key, Entry("rejected"))
            raise
        usd = self._limits.usd_per_clip if job.usd is None else job.usd
        self._ledger.record(key, Entry("submitted", job.data, usd))
        return Job(job.data, usd)

    def _collect(self, key: str, job: Job) -> VideoFile | Failure:
        outcome = self._await(job)
        if isinstance(outcome, Failure):
            return outcome
        usd = job.usd if outcome.usd is None else outcome.usd
        if isinstance(outcome, Ended):
            failure = asdict(outcome.failure)
            self._ledger.record(key, Entry("failed", job.data, usd, failure))
            return outcome.failure
        path = self._fetch(job, outcome)
        try:
            probe(path)
        except VideoError as error:
            path.unlink()
            return Failure("decode", str(error), retryable=True)
        self._ledger.record(key, Entry("done", job.data, usd))
        return VideoFile(path, meta={**outcome.meta, "usd": usd})

    def _await(self, job: Job) -> Finished | Ended | Failure:
        """Ask until the job has ended; time in the queue has a limit of its own."""
        begun = queued_until = time.monotonic()
        while True:
            state = self._with_retries(lambda: self._service.look(job.data))
            if not isinstance(state, Waiting):
                return state
            now = time.monotonic()
            if state.queued:
                queued_until = now
            late = queued_until - begun > self._limits.queue_s
            if late or now - queued_until > self._limits.job_s:
                return Failure(
                    "timeout",
                    f"The job of `{self._name}` is not finished after {now - begun:.0f} s. It is "
                    "recorded: the same command asks for it again without paying again.",
                    retryable=True,
                )
            time.sleep(self._limits.poll_s * random.uniform(1.0, 1.25))

    def _fetch(self, job: Job, finished: Finished) -> Path:
        with tempfile.NamedTemporaryFile(suffix=".mp4", delete=False) as file:
            path = Path(file.name)
        with ExitStack() as unless_whole:
            # Whatever ends it, Ctrl-C too: half a download must not stay.
            unless_whole.callback(path.unlink, missing_ok=True)
            try:
                self._with_retries(lambda: download(finished.url, path))
            except AttemptError as error:
                if error.failure.kind != "expired":
                    raise
                fresh = self._with_retries(lambda: self._service.look(job.data))
                if not isinstance(fresh, Finished):
                    raise
                self._with_retries(lambda: download(fresh.url, path))
            unless_whole.pop_all()
        return path

    def _with_retries(self, attempt: Callable[[], T]) -> T:
        limits = self._limits
        return with_retries(
            attempt, attempts=limits.attempts, budget_s=limits.retry_budget_s, sleep=time.sleep
        )


def _over_ceiling(spent: float, limit: float | None) -> Failure:
    return Failure(
        "cost-limit",
        f"The jobs in the ledger cost ${spent:.2f} and `max_usd` is {limit}: the next clip would "
        "pass it. Raise it to continue.",
        retryable=True,
    )


def _ambiguous(name: str, reason: str = "the program ended between request and answer") -> Failure:
    return Failure(
        "ambiguous_create",
        f"Nobody can say whether `{name}` created this job ({reason}), so it was not sent again. "
        "Look at the service's own list of jobs; to send it once more, and perhaps pay twice, set "
        "`resubmit_ambiguous=true`.",
        retryable=True,
    )
