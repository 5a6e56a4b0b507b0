"""Digests: what makes two units of work the same unit."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


def canonical_json(value: Any) -> str:
    """One fixed JSON text for a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: If the value holds NaN or infinity.
        TypeError: If the value holds something JSON cannot.
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def text_digest(*parts: str) -> str:
    """SHA-256 (hex) of several texts; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def value_digest(value: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a mapping's canonical JSON."""
    return text_digest(canonical_json(value))


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def source_digest(*modules: ModuleType) -> str:
    """SHA-256 (hex) of the modules' source, for plugins whose code *is* their model.

    With it in the fingerprint, no edit of the rules can be served an old cached result.
    """
    return text_digest(*(inspect.getsource(module) for module in modules))
