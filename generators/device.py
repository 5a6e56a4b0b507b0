"""Which device a model runs on, known without importing torch."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from phybench.errors import ConfigError

_GPUS = Path("/proc/driver/nvidia/gpus")


def resolve_device(device: str) -> str:
    """``auto`` as ``cuda`` if the machine shows an NVIDIA GPU, else ``cpu``.

    Raises:
        ConfigError: If the name is none that torch knows.
    """
    kind = device.partition(":")[0]
    if kind not in {"auto", "cpu", "cuda", "mps"}:
        raise ConfigError(
            f"Expected `device` to be auto, cpu, cuda[:n] or mps, but got {device!r}."
        )
    if device != "auto":
        return device
    return "cuda" if _gpu_models() and os.environ.get("CUDA_VISIBLE_DEVICES") != "" else "cpu"


def accelerator(device: str) -> str:
    """The kind of hardware behind a device, because kinds round differently."""
    return _gpu_models() or "cuda" if device.startswith("cuda") else device


@cache
def _gpu_models() -> str:
    """Models of the NVIDIA GPUs that the driver lists, e.g. ``NVIDIA H200``."""
    lines = (
        line.partition(":")[2].strip()
        for path in sorted(_GPUS.glob("*/information"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("Model:")
    )
    return "+".join(sorted(set(lines)))
