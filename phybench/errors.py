"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PhybenchError(Exception):
    """Base of the errors that phybench raises on purpose.

    The message names what was wrong, with the value, and what to do about it.
    """


class ConfigError(PhybenchError):
    """Something the user gave cannot work; raised before any work starts (exit code 2)."""


class MissingExtraError(ConfigError):
    """An optional dependency is absent; the message names the install command.

    Args:
        what: What needs the dependency, e.g. ``generator `cogvideox```.
        module: The module that could not be imported.
        extra: The extra of this package that brings it.
    """

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(
            f"{what} needs `{module}`, which is not installed. Run: pip install 'phybench[{extra}]'"
        )


class RunLockedError(ConfigError):
    """Another process is writing to this run folder."""


class StorageError(PhybenchError):
    """The disk refused a write; what was finished before is safe and the run can be resumed."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not there, with the closest ones that are."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"Did you mean {_or(close)}?" if close else f"There is {_or(choices)}."
    return f"Expected a known {what}, but got `{name}`. {hint}"


def _or(choices: list[str]) -> str:
    return " or ".join(f"`{choice}`" for choice in choices) or "none"
