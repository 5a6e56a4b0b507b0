"""Which device a model runs on, found out without importing torch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from phybench.errors import ConfigError

Device = str
"""``auto`` (a CUDA GPU if there is one), ``cpu``, ``cuda``, ``cuda:1`` … or ``mps``."""

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|mps")
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Device files of NVIDIA's driver on Linux and under WSL."""

_GPUS = Path("/proc/driver/nvidia/gpus")
"""Where the driver on Linux lists its GPUs; WSL has no such list, nor have some containers."""


def resolve_device(device: Device) -> str:
    """``auto`` as ``cuda`` if a driver and a visible GPU are there, else as ``cpu``.

    Raises:
        ConfigError: If the name is none that torch knows.
    """
    if not _DEVICE.fullmatch(device):
        raise ConfigError(
            f"Expected `device` to be auto, cpu, cuda[:n] or mps, but got {device!r}."
        )
    if device != "auto":
        return device
    driver = any(path.exists() for path in _DRIVERS) or bool(_gpu_models())
    return "cuda" if driver and not _hidden() else "cpu"


def device_kind(device: str) -> str:
    """``cuda`` for ``cuda:1``: what results depend on is the kind, not the number."""
    return device.partition(":")[0]


def resolve_dtype(dtype: Dtype, device: str) -> str:
    """``auto`` is bfloat16 on a CUDA GPU and float32 elsewhere."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device_kind(device) == "cuda" else "float32"


def accelerator(device: str) -> str:
    """The kind of hardware behind a device, because kinds round differently."""
    return _gpu_models() or "cuda" if device_kind(device) == "cuda" else device


def _hidden() -> bool:
    """Whether the user hides every GPU; CUDA ignores what follows a number below 0."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    return visible.partition(",")[0].strip() in {"", "-1"}


def _gpu_models() -> str:
    """Models of the NVIDIA GPUs that the driver lists, e.g. ``NVIDIA H200``."""
    lines = (
        line.partition(":")[2].strip()
        for path in sorted(_GPUS.glob("*/information"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("Model:")
    )
    return "+".join(sorted(set(lines)))
