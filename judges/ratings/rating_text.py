"""Reading a rating out of a model's words: all of it, or not at all.

A reader that looks for the first digit gives 4 for "between 3 and 4" and 1 for "none". This one
accepts a few complete forms and says ``None`` to everything else.
"""

from __future__ import annotations

import re

VERSION = "1"
"""Part of every fingerprint that depends on this reader."""
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FORM = re.compile(
    r"""^["'`*\s]*                        # quotes and emphasis around the whole
        (?P<number>[0-9]{1,3}|[a-z]+)
        (?:\.0+)?                         # 4.0 is 4
        (?:\s*(?:/|out\ of)\s*(?P<top>[0-9]{1,3}))?
        ["'`*\s]*\.?["'`*\s]*$""",
    re.VERBOSE | re.IGNORECASE,
)


def read_rating(text: str, low: int, high: int) -> int | None:
    """The rating that a text states, if it states one and nothing else.

    Accepted, in any case and with a final full stop: ``4``, ``4.0``, ``four``, ``4/5`` and
    ``4 out of 5`` (the second number must be the scale's highest).

    Args:
        text: The whole reply.
        low: Lowest legal rating.
        high: Highest legal rating.

    Returns:
        The rating in [low, high], or ``None``.
    """
    match = _FORM.match(text)
    if match is None or (match["top"] is not None and int(match["top"]) != high):
        return None
    word = match["number"].lower()
    value = int(word) if word.isdigit() else _WORDS.index(word) if word in _WORDS else None
    return value if value is not None and low <= value <= high else None


def first_key(text: str) -> int:
    """The rating as VideoPhy-2's published script reads it, errors included.

    The first of zero, ..., five, 0, ..., 5 (in this order) that occurs anywhere in the text, and 0
    if none does: "none" is 1, "10" is 0, "42" is 2. Only for reproducing published numbers.
    """
    keys = [*_WORDS[:6], *"012345"]
    lowered = text.strip().lower()
    found = next((place for place, key in enumerate(keys) if key in lowered), 0)
    return found % 6
