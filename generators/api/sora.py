"""The name ``sora``, kept to say that there is nothing behind it any more."""

from __future__ import annotations

from typing import NoReturn

from phybench.errors import ConfigError


def sora() -> NoReturn:
    """Say that OpenAI's video API was shut down.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(
        "Sora cannot generate clips: OpenAI shut its video API down on 2026-09-24. Clips that were "
        "made before can be scored with the generator `files`: "
        "phybench run -g files:manifest=clips.csv"
    )
