"""A digest of this world's code, taken from its files, so that plugins need not import it."""

from __future__ import annotations

from functools import cache
from importlib import resources

from phybench.machine.digest import code_digest, text_digest

READING = ("texts/language.py", "texts/lexicon.json")
"""What decides how a text is understood."""
WORLD = (
    *READING,
    "world/chance.py",
    "drawing/clips.py",
    "texts/failure_law.py",
    "world/families.py",
    "world/fluids.py",
    "texts/imagine.py",
    "world/interventions.py",
    "world/layouts.py",
    "drawing/raster.py",
    "drawing/render.py",
    "drawing/render_pour.py",
    "world/scene.py",
    "world/simulate.py",
    "world/violations.py",
    "world/world.py",
)
"""What decides which pixels a text becomes."""


@cache
def world_digest(names: tuple[str, ...]) -> str:
    """SHA-256 (hex) of the named files of this package: what code does, and all of the others."""
    package = resources.files("phybench.tabletop")
    texts = {name: package.joinpath(name).read_text("utf-8") for name in names}
    code = [text for name, text in texts.items() if name.endswith(".py")]
    return text_digest(
        code_digest(*code), *(text for name, text in texts.items() if not name.endswith(".py"))
    )
