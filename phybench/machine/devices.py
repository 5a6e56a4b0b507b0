"""Which device a local model runs on, found out without importing torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Device files of NVIDIA's driver on Linux and under WSL."""


def resolve_device(device: Device) -> Literal["cpu", "cuda"]:
    """``cuda`` if asked for, or if ``auto`` and a driver and a visible GPU are there."""
    if device != "auto":
        return device
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}
    return "cuda" if not hidden and any(path.exists() for path in _DRIVERS) else "cpu"


def resolve_dtype(dtype: Dtype, device: Literal["cpu", "cuda"]) -> str:
    """``auto`` is bfloat16 on a GPU and float32 on a CPU."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device == "cuda" else "float32"
