"""Which plugins could start on this machine, and what keeps the others from it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.environment import describe_environment
from phybench.machine.folders import default_folder
from phybench.plugins.opened import KINDS, Kind
from phybench.plugins.registry import create, names


@dataclass(frozen=True, slots=True)
class PluginState:
    """One plugin, tried with its default options.

    Args:
        kind: Its kind.
        name: Its name.
        ready: Whether it can be constructed.
        needs: What keeps it from that; for a ready one, its licence and GPU memory.
    """

    kind: Kind
    name: str
    ready: bool
    needs: str


@dataclass(frozen=True, slots=True)
class Installation:
    """State of the installation.

    Args:
        machine: Versions, hardware and free disk.
        plugins: Every registered name.
    """

    machine: Mapping[str, Any]
    plugins: tuple[PluginState, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)


def inspect_installation() -> Installation:
    """Try every plugin and look at the machine."""
    return Installation(
        _machine(), tuple(_state(kind, name) for kind in KINDS for name in names(kind))
    )


def _machine() -> dict[str, Any]:
    found = describe_environment()
    folder = default_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory']})" for gpu in found["gpus"]) or "none"
    return {
        "phybench": found["phybench"],
        "python": found["python"],
        "platform": found["platform"],
        "cpus": found["cpus"],
        "gpus": gpus,
        "cache": f"{folder} ({free:.1f} GiB free)",
        "packages": packages,
    }


def _state(kind: Kind, name: str) -> PluginState:
    try:
        info = create(kind, name).info
    except ConfigError as error:
        return PluginState(kind, name, ready=False, needs=str(error))
    gpu = f", {info.gpu_gib:g} GiB GPU" if info.gpu_gib else ""
    return PluginState(kind, name, ready=True, needs=f"nothing (licence: {info.licence}{gpu})")
