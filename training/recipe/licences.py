"""Whether a generator's or judge's licence lets its outputs train a refiner (no legal advice)."""

from __future__ import annotations

from collections.abc import Sequence

from phybench.errors import ConfigError
from phybench.plugins.opened import Opened

_FORBIDDEN = ("hunyuan",)
"""Words of licences that forbid it: Tencent Hunyuan's ("must not use … any Output … to improve any
other AI model"). For plugins without a card that says so."""
_NEVER = frozenset({"oracle", "labels"})
"""Judges that read the truth and no pixels: training on them teaches nothing about video."""


def check_licences(parts: Sequence[Opened], *, override: bool) -> list[str]:
    """Refuse what must not be trained on; say what should be read first.

    Args:
        parts: The reward's generator and judge.
        override: Go on although a licence forbids it.

    Returns:
        Notes for the user.

    Raises:
        ConfigError: If a licence forbids it, or the judge reads the ground truth.
    """
    notes = []
    for part in parts:
        if part.kind == "judge" and part.spec.name in _NEVER:
            raise ConfigError(
                f"Expected a judge that looks at the clip as `reward.judge`, but got "
                f"`{part.spec.name}`, which reads the truth. It can be `reward.holdout`."
            )
        view = _view(part)
        what = f"{part.kind} `{part.info.name}` ({part.info.licence})"
        if view == "forbidden" and not override:
            raise ConfigError(
                f"The licence of {what} forbids training another model on its outputs. Take "
                "another, or set `reward.override_licence=true` if you have permission."
            )
        if view != "allowed":
            notes.append(f"{what}: training on its outputs is {view}; read the licence first.")
    return notes


def _view(part: Opened) -> str:
    card = getattr(part.plugin, "card", None)
    if card is not None:
        return str(card.training_on_outputs)
    licence = part.info.licence.lower()
    if any(word in licence for word in _FORBIDDEN):
        return "forbidden"
    return "allowed" if "apache" in licence or licence.startswith("mit") else "unknown"
