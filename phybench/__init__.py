"""phybench: does rewriting the prompt make generated video obey physics?"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from phybench.errors import ConfigError, MissingExtraError, PhybenchError
from phybench.plugins.contracts import (
    BINARY,
    LIKERT,
    PROBABILITY,
    Clip,
    ClipRequest,
    Failure,
    Frames,
    Generator,
    Judge,
    JudgeRequest,
    NoVideo,
    PluginInfo,
    Prompt,
    Refinement,
    Refiner,
    Scale,
    Score,
    VideoFile,
    VideoSettings,
)
from phybench.version import __version__

if TYPE_CHECKING:
    from phybench.api import compare, open_run, plan, refine, refiner, run, score

if not (Path(__file__).parent / "refiners").is_dir():
    # In a checkout the folders of plugins and training lie beside this one, not in it.
    __path__.append(str(Path(__file__).resolve().parent.parent))

__all__ = [
    "BINARY",
    "LIKERT",
    "PROBABILITY",
    "Clip",
    "ClipRequest",
    "ConfigError",
    "Failure",
    "Frames",
    "Generator",
    "Judge",
    "JudgeRequest",
    "MissingExtraError",
    "NoVideo",
    "PhybenchError",
    "PluginInfo",
    "Prompt",
    "Refinement",
    "Refiner",
    "Scale",
    "Score",
    "VideoFile",
    "VideoSettings",
    "__version__",
    "compare",
    "open_run",
    "plan",
    "refine",
    "refiner",
    "run",
    "score",
]
_FROM_API = {"open_run", "plan", "refine", "refiner", "run", "score"}


def __getattr__(name: str) -> Any:
    """What needs more than the contracts is imported when it is first used."""
    if name in _FROM_API:
        return getattr(importlib.import_module("phybench.api"), name)
    if name == "compare":
        return importlib.import_module("phybench.compare")
    raise AttributeError(f"module 'phybench' has no attribute {name!r}")


class _CallablePackage(ModuleType):
    """The package ``phybench.compare``, which can be called as the function of that name."""

    def __call__(self, *runs: Any, **keywords: Any) -> Any:
        return importlib.import_module("phybench.api").compare(*runs, **keywords)


class _Package(ModuleType):
    """This package, in which ``compare`` stays callable.

    Python sets a subpackage as an attribute when it is first imported, which would hide the
    function ``compare`` behind the package of the same name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "compare" and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
