"""A common view: one frame rate, length and size in which every judge sees every clip.

Generators make clips of different rates, lengths and sizes, and judges read them differently. A run
may therefore ask for a view (``--view fps=4,seconds=6,size=720x480`` is the PhyPrompt paper's). The
native clips are kept as they are; what judges receive is made from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phybench.errors import ConfigError, UnknownNameError

KEYS = ("fps", "seconds", "size")
MOST_FPS = 240.0
MOST_SECONDS = 3600.0
LEAST_SIDE, MOST_SIDE = 16, 8192
VIEWER = "view-1"
"""Names how views are made; part of every view's key, so that a change makes them again."""


@dataclass(frozen=True, slots=True)
class View:
    """How clips are shown to judges; ``None`` leaves that side of a clip as it is.

    Args:
        fps: Frames per second: at each instant the frame that was last shown by then.
        seconds: Longest duration: the rest is cut off. Shorter clips are not padded.
        width: Pixels, even; the picture is fitted with its aspect kept and bars around it.
        height: Pixels, even; given with ``width``.

    Raises:
        ConfigError: If nothing is given or a value is out of range.
    """

    fps: float | None = None
    seconds: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if self.fps is None and self.seconds is None and self.width is None:
            raise ConfigError(f"Expected `view` to give {_keys()}, but got nothing.")
        for name, most in (("fps", MOST_FPS), ("seconds", MOST_SECONDS)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise ConfigError(
                    f"Expected `{name}` of `view` to be above 0 and at most {most:g}, "
                    f"but got {value:g}."
                )
        for name in ("width", "height"):
            side = getattr(self, name)
            if side is not None and (side % 2 or not LEAST_SIDE <= side <= MOST_SIDE):
                raise ConfigError(
                    f"Expected the {name} of `view` to be an even number of pixels in "
                    f"{LEAST_SIDE}..{MOST_SIDE}, but got {side}."
                )

    def __str__(self) -> str:
        """The view as the command line takes it; equal views give equal texts."""
        size = None if self.width is None else f"{self.width}x{self.height}"
        given = {"fps": _number(self.fps), "seconds": _number(self.seconds), "size": size}
        return ",".join(f"{key}={value}" for key, value in given.items() if value is not None)

    def options(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "fps": self.fps,
            "seconds": self.seconds,
            "width": self.width,
            "height": self.height,
        }


def parse_view(text: str) -> View:
    """Read a view as ``fps=4,seconds=6,size=720x480``, each key optional.

    Raises:
        ConfigError: If a key is unknown or given twice, or a value cannot be read.
    """
    given: dict[str, object] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"Expected `key=value` in `view`, but got {part!r}.")
        if key in given:
            raise ConfigError(f"Expected `{key}` of `view` once, but got it twice in {text!r}.")
        given[key] = value
    return make_view(given)


def make_view(given: Mapping[str, object]) -> View:
    """Build a view from the values of its keys, as a YAML file holds them.

    Raises:
        ConfigError: As :func:`parse_view`.
    """
    for key in given:
        if key not in KEYS:
            raise UnknownNameError("key of `view`", str(key), KEYS)
    width, height = _size(given["size"]) if "size" in given else (None, None)
    return View(_read(given, "fps"), _read(given, "seconds"), width, height)


def _read(given: Mapping[str, object], key: str) -> float | None:
    if key not in given:
        return None
    value = given[key]
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"Expected `{key}` of `view` to be a number, but got {value!r}.")
    return number


def _size(value: object) -> tuple[int, int]:
    width, _, height = str(value).lower().partition("x")
    if not (width.strip().isdecimal() and height.strip().isdecimal()):
        raise ConfigError(
            f"Expected `size` of `view` as WIDTHxHEIGHT, e.g. 720x480, but got {value!r}."
        )
    return int(width), int(height)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.12g}"


def _keys() -> str:
    return "at least one of " + ", ".join(f"`{key}`" for key in KEYS)
