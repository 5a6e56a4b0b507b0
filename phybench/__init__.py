"""phybench: does rewriting the prompt make generated video obey physics?"""

from pathlib import Path

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
]
