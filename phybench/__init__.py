"""phybench: does rewriting the prompt make generated video obey physics?"""

from phybench.contracts import (
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
from phybench.errors import ConfigError, MissingExtraError, PhybenchError

__version__ = "0.1.0"

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
]
