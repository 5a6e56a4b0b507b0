"""Where a run happened: code version, packages, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from phybench.version import __version__

_PACKAGES = (
    "accelerate",
    "av",
    "bitsandbytes",
    "datasets",
    "diffusers",
    "fal-client",
    "httpx",
    "matplotlib",
    "numpy",
    "pandas",
    "peft",
    "pydantic",
    "pymunk",
    "ray",
    "runwayml",
    "scipy",
    "statsmodels",
    "torch",
    "transformers",
    "trl",
    "vllm",
)
_TIMEOUT_S = 10


def describe_environment() -> dict[str, Any]:
    """Versions, commit and hardware as JSON values."""
    return {
        "phybench": __version__,
        "git": _git(Path(__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "gpus": _gpus(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit of phybench's own checkout; ``None`` when it was installed from a package."""
    status = _output("git", "-C", str(folder), "status", "--porcelain", "--", str(folder))
    commit = _output("git", "-C", str(folder), "log", "-1", "--format=%H", "--", str(folder))
    return {"commit": commit, "dirty": bool(status)} if commit and status is not None else None


def _gpus() -> list[dict[str, str]]:
    query = "--query-gpu=name,driver_version,memory.total"
    lines = _output("nvidia-smi", query, "--format=csv,noheader") or ""
    rows = [line.split(", ") for line in lines.splitlines()]
    return [dict(zip(("name", "driver", "memory"), row, strict=True)) for row in rows]


def _output(*command: str) -> str | None:
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
