"""Reading weight files without running code that may hide in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.errors import ConfigError

if TYPE_CHECKING:
    import torch


def load_tensors(path: Path, *, allow_unpickling: bool = False) -> dict[str, Any]:
    """Read a file of tensors (``.safetensors``, or one written by ``torch.save``).

    Args:
        path: The file.
        allow_unpickling: Whether a file that holds other Python objects than tensors may be read,
            which runs code from that file.

    Raises:
        ConfigError: If the file cannot be read, or needs ``allow_unpickling``.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    try:
        loaded = torch.load(
            path,
            map_location="cpu",
            weights_only=not allow_unpickling,
            mmap=zipfile.is_zipfile(path),
        )
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"Expected {path} to hold tensors only, but it needs arbitrary unpickling, which runs "
            "code from the file. If you trust where it came from, set `allow_unpickling=true`."
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise ConfigError(f"Cannot read the weights in {path}: {error}.") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"Expected {path} to hold a dict, but got {type(loaded).__name__}.")
    return loaded


def load_strictly(
    module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], what: str
) -> torch.nn.Module:
    """Give a module (built on the meta device) its tensors: all of them and no other.

    Raises:
        ConfigError: If a tensor is missing, left over, or of another shape.
    """
    try:
        module.load_state_dict(dict(tensors), strict=True, assign=True)
    except RuntimeError as error:
        raise ConfigError(f"The checkpoint does not fit the {what}: {error}") from error
    return module.eval().requires_grad_(requires_grad=False)
