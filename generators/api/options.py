"""The options that every hosted generator has, checked before anything is sent."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.folders import default_folder
from phybench.plugins.contracts import VideoSettings

from .jobs import JobLimits


def _mapping(value: object) -> object:
    """Arguments given in a SPEC are JSON, whose outer braces the SPEC's brackets may have eaten."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    return json.loads(text if text.startswith("{") else f"{{{text}}}")


Arguments = Annotated[dict[str, Any], BeforeValidator(_mapping)]


def require_api_extra(name: str, *modules: str) -> None:
    """Find out before any work that a package is absent.

    Raises:
        MissingExtraError: If one is.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"generator `{name}`", module, "api")


def key_from(variable: str, name: str) -> str:
    """The key in an environment variable.

    Raises:
        ConfigError: If it is not set.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"Expected the environment variable `{variable}` to hold the key for generator "
            f"`{name}`, but it is not set."
        )
    return key


def ledger_path(ledger: str, name: str) -> Path:
    """The ledger's file; by default one per service in phybench's cache folder."""
    return Path(ledger).expanduser() if ledger else default_folder() / "paid" / f"{name}.jsonl"


def make_limits(
    *,
    poll_s: float,
    job_s: float,
    queue_s: float,
    attempts: int,
    concurrency: int,
    max_usd: float | None,
    usd_per_clip: float | None,
    resubmit_ambiguous: bool,
) -> JobLimits:
    """Check and collect the limits.

    Raises:
        ConfigError: If there is a ceiling but no price to keep it by.
    """
    if max_usd is not None and usd_per_clip is None:
        raise ConfigError(
            "Expected `usd_per_second` to be given with `max_usd`: without a price the ceiling "
            "cannot be kept."
        )
    return JobLimits(
        poll_s=poll_s,
        job_s=job_s,
        queue_s=queue_s,
        attempts=attempts,
        retry_budget_s=600.0,
        concurrency=concurrency,
        max_usd=max_usd,
        usd_per_clip=usd_per_clip,
        resubmit_ambiguous=resubmit_ambiguous,
    )


def settings_problem(name: str, settings: VideoSettings) -> str:
    """Why a run's video settings cannot be met, or an empty text."""
    asked = [field for field in VideoSettings.__slots__ if getattr(settings, field) is not None]
    if not asked:
        return ""
    return (
        f"Expected no `{asked[0]}` for `{name}`: a hosted service makes the sizes it has. Choose "
        "among them with its own options, and bring clips to one view for judging."
    )


def utf16_units(text: str) -> int:
    """Length as JavaScript counts it, in which the services state their limits."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_utf16(text: str, units: int) -> str:
    """The longest beginning of at most so many UTF-16 units that splits no character."""
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return kept.decode("utf-16-le", "ignore")
