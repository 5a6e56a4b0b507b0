"""How a judge's model is run, known before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal

from phybench.errors import MissingExtraError
from phybench.machine.devices import device_kind

from .files import OwlFiles

Quantize = Literal["none", "8bit", "4bit"]
VERSION = "1"
"""Raised when a change of this package changes any result."""
_LIBRARIES = ("torch", "transformers", "sentencepiece", "av")
_SHARE = {"none": 1.0, "8bit": 0.55, "4bit": 0.32}
"""Memory relative to bfloat16; embeddings, vision tower and output layer stay in 16 bit."""
_GPU_BATCH = 4
_WORKING_GIB = 2.0
"""Activations and keys/values of a batch of 4, rounded up."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A judge's model and how to run it.

    Args:
        files: The checkpoint.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        quantize: Weights of the language model's layers in 8 or 4 bit (bitsandbytes).
        compiled: Whether ``torch.compile`` is used on the vision side.
        batch: Clips per forward pass.
    """

    files: OwlFiles
    device: str
    dtype: str
    quantize: Quantize
    compiled: bool
    batch: int

    def check(self, judge: str) -> None:
        """Raise now what would fail at the first clip.

        Raises:
            MissingExtraError: If the extra ``local`` is not installed, or the extra ``quantize``
                is needed and is not.
        """
        for module in ("torch", "transformers", "sentencepiece"):
            if find_spec(module) is None:
                raise MissingExtraError(f"judge `{judge}`", module, "local")
        if self.quantize != "none" and find_spec("bitsandbytes") is None:
            raise MissingExtraError(
                f"judge `{judge}` with `quantisation={self.quantize}`", "bitsandbytes", "quantize"
            )

    def fingerprint(self) -> dict[str, Any]:
        """What of it can change a score."""
        libraries = {name: _version(name) for name in _LIBRARIES}
        if self.quantize != "none":
            libraries["bitsandbytes"] = _version("bitsandbytes")
        return {
            "model": VERSION,
            "weights": self.files.digest(),
            "device": device_kind(self.device),
            "dtype": self.dtype,
            "quantize": self.quantize,
            "compiled": self.compiled,
            "libraries": libraries,
        }

    @property
    def gpu_gib(self) -> float:
        """GPU memory that it needs."""
        if self.device == "cpu":
            return 0.0
        double = 2.0 if self.dtype == "float32" else 1.0
        share = _SHARE[self.quantize] * double
        return round(self.files.weights_gib * share + _WORKING_GIB, 1)


def default_batch(device: str) -> int:
    """Clips per forward pass where the user names no number."""
    return 1 if device == "cpu" else _GPU_BATCH


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
