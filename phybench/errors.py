"""Errors that a person can act on.

Each is also the error of Python's own that fits it, so that code which knows nothing of phybench
can catch it, and each says how the command line ends.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class PhybenchError(Exception):
    """Base of the errors that phybench raises on purpose.

    The message names what was wrong, with the value, and what to do about it.

    Attributes:
        exit_code: How the command line ends: 1 if work was begun, 2 if it was not.
    """

    exit_code: ClassVar[int] = 1


class ConfigError(PhybenchError, ValueError):
    """Something the user gave cannot work; raised before any work starts."""

    exit_code = 2


class UnknownNameError(ConfigError, LookupError):
    """A name is not among the known ones; the message suggests the closest of them.

    Args:
        what: What the name is one of, e.g. ``refiner``.
        name: The name as it was given.
        known: The names that there are.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
        hint = f"Did you mean {_or(close)}?" if close else f"There is {_or(choices)}."
        super().__init__(f"Expected a known {what}, but got `{name}`. {hint}")
        self._made_of = (what, name, choices)

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        """Workers and actors send errors to their parent."""
        return type(self), self._made_of


class MissingExtraError(ConfigError, ImportError):
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
        self._made_of = (what, module, extra)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Workers and actors send errors to their parent."""
        return type(self), self._made_of


class RunLockedError(ConfigError):
    """Another process is writing to this run folder."""


class StorageError(PhybenchError, OSError):
    """The disk refused a write; what was finished before is safe and the run can be resumed."""


def _or(choices: list[str]) -> str:
    return " or ".join(f"`{choice}`" for choice in choices) or "none"
