"""Where phybench keeps its files on this computer."""

from __future__ import annotations

import os
from pathlib import Path


def default_folder() -> Path:
    """``$PHYBENCH_CACHE``, else the user's cache folder."""
    own = os.environ.get("PHYBENCH_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phybench"
