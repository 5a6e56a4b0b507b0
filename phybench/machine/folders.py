"""Where phybench keeps its files on this computer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_CHOSEN: ContextVar[Path | None] = ContextVar("phybench_cache_folder", default=None)


def default_folder() -> Path:
    """The folder of :func:`cache_folder`, else of ``$PHYBENCH_CACHE``, else the user's own."""
    own = _CHOSEN.get() or os.environ.get("PHYBENCH_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phybench"


@contextmanager
def cache_folder(chosen: Path | None) -> Iterator[None]:
    """Let a block, with all that it calls, keep its files in a folder.

    Nested refiners, paid replies and ledgers have no option for it, as a folder changes no result.
    Worker processes are told when they start. Another thread does not see it.

    Args:
        chosen: The folder; ``None`` changes nothing.
    """
    token = _CHOSEN.set(chosen.absolute() if chosen else _CHOSEN.get())
    try:
        yield
    finally:
        _CHOSEN.reset(token)
