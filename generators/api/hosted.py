"""A hosted generator: what is common to all services, around one service's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from phybench.plugins.contracts import ClipRequest, Failure, PluginInfo, VideoFile

from ..video_settings import over_budget_failure
from .jobs import JobRunner
from .options import cut_utf16, settings_problem, utf16_units
from .service import VideoService

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun

OverBudget = Literal["error", "truncate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a hosted generator says of itself.

    Args:
        name: Name in tables.
        model: The service's model id.
        licence: Whose terms bind the clips.
        fingerprint: Everything that is sent, and the address.
        budget: Longest prompt in UTF-16 units, if limited.
        over_budget: What to do with longer prompts.
        concurrency: Most jobs at once.
        usd_per_clip: Estimated price of a clip, or ``None`` if unknown.
    """

    name: str
    model: str
    licence: str
    fingerprint: Mapping[str, Any]
    budget: int | None
    over_budget: OverBudget
    concurrency: int
    usd_per_clip: float | None

    def info(self) -> PluginInfo:
        """The same as the harness's type."""
        return PluginInfo(
            name=self.name,
            revision=self.model,
            licence=self.licence,
            fingerprint={**self.fingerprint, "over_budget": self.over_budget},
            max_batch=self.concurrency,
            prompt_budget=self.budget,
            extra="api",
            usd_per_unit=self.usd_per_clip,
        )


class HostedGenerator:
    """A service as generator: each clip is paid at most once, whatever happens.

    Args:
        description: What it says of itself.
        service: The service's protocol.
        runner: Makes the clips through it.
    """

    def __init__(self, description: Description, service: VideoService, runner: JobRunner) -> None:
        self._description, self._service, self._runner = description, service, runner

    @property
    def info(self) -> PluginInfo:
        """Name, model and everything that is sent."""
        return self._description.info()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in UTF-16 units, in which the services state their limits."""
        return [utf16_units(text) for text in texts]

    def check(self, plan: PlannedRun) -> list[str]:
        """Problems of a plan that can be told before anything is paid."""
        problem = settings_problem(self._description.name, plan.settings)
        return [problem] if problem else []

    def generate(self, requests: Sequence[ClipRequest]) -> list[VideoFile | Failure]:
        """Make one clip per request, refusing or cutting prompts above the budget first."""
        prepared = [_prepared(self._description, request) for request in requests]
        sent = [each for each in prepared if isinstance(each, ClipRequest)]
        made = iter(self._runner.run(sent))
        return [
            each
            if isinstance(each, Failure)
            else _with_length(next(made), self._description, request)
            for each, request in zip(prepared, requests, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        self._service.close()


def _prepared(description: Description, request: ClipRequest) -> ClipRequest | Failure:
    if problem := settings_problem(description.name, request.settings):
        return Failure("settings", problem)
    budget, units = description.budget, utf16_units(request.text)
    if budget is None or units <= budget:
        return request
    if description.over_budget == "error":
        return over_budget_failure(description.name, units, budget)
    return replace(request, text=cut_utf16(request.text, budget))


def _with_length(
    made: VideoFile | Failure, description: Description, request: ClipRequest
) -> VideoFile | Failure:
    if isinstance(made, Failure):
        return made
    units = utf16_units(request.text)
    cut = description.budget is not None and units > description.budget
    return replace(made, meta={**made.meta, "prompt_tokens": units, "truncated": cut})
