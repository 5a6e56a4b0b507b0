"""Contact sheets and tables of the world, for its page in the documentation.

    python -m phybench.tabletop.drawing.pictures docs/tabletop

draws one sheet per family: its lawful scene in the first row, one violation in every further row.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.texts.failure_law import base_probabilities
from phybench.tabletop.texts.language import lexicon, prevented_by
from phybench.tabletop.world.families import FAMILIES
from phybench.tabletop.world.violations import LAWS, VIOLATIONS, breaches

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 3
"""Of every clip on the sheets."""
_EVERY = 2
"""Every so many frames are shown."""


def sheet(family: str) -> tuple[list[str], NDArray[np.uint8]]:
    """A family's rows: their labels, and the picture with a thin line between the frames."""
    kinds = [None, *(row.violation for row in breaches(family))]
    rows = [_strip(draw(family, SEED, kind)[0][::_EVERY]) for kind in kinds]
    return [kind or "lawful" for kind in kinds], np.concatenate(rows)


def _strip(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    framed = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=40)
    return np.concatenate(list(framed), axis=1)


def write_pictures(folder: Path) -> None:
    """Write ``<family>.png`` for every family into a folder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        labels, picture = sheet(family)
        height, width = picture.shape[:2]
        margin = 130
        figure = Figure(figsize=((width + margin) / 100, height / 100), dpi=100)
        FigureCanvasAgg(figure)
        share = margin / (width + margin)
        axes = figure.add_axes((share, 0.0, 1.0 - share, 1.0))
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        for index, label in enumerate(labels):
            place = 1.0 - (index + 0.5) / len(labels)
            figure.text(share - 0.01, place, label, ha="right", va="center", fontsize=9)
        # No version of matplotlib in the file: equal pictures are equal bytes on one machine.
        figure.savefig(folder / f"{family}.png", metadata={"Software": None})


def family_table() -> str:
    """Families, what lawfully happens, and the laws they show, as Markdown."""
    lines = ["| family | what lawfully happens | laws |", "|---|---|---|"]
    for family in FAMILIES.values():
        laws = ", ".join(LAWS[law] for law in family.laws)
        lines.append(f"| `{family.name}` | {family.title} | {laws} |")
    return "\n".join(lines)


def violation_table() -> str:
    """Violations, what they look like and where they apply, as Markdown."""
    lines = ["| violation | what is seen | families |", "|---|---|---|"]
    for violation, looks in VIOLATIONS.items():
        families = ", ".join(
            name for name in FAMILIES if violation in {row.violation for row in breaches(name)}
        )
        lines.append(f"| `{violation}` | {looks} | {families} |")
    return "\n".join(lines)


def law_table() -> str:
    """Which law each violation breaks in each family, and how likely it is, as Markdown."""
    lines = ["| family | violation | law | probability |", "|---|---|---|---|"]
    for name in FAMILIES:
        chances = base_probabilities(name)
        lines += [
            f"| `{name}` | `{row.violation}` | {LAWS[row.law]} | {chances[row.violation]:.3f} |"
            for row in breaches(name)
        ]
    return "\n".join(lines)


def outcome_table() -> str:
    """Lawful outcomes that a text can state, and what they make less likely, as Markdown."""
    lines = ["| stated outcome | in other words | makes less likely |", "|---|---|---|"]
    for name, rule in lexicon()["outcomes"].items():
        excluded = ", ".join(f"`{v}`" for v in VIOLATIONS if v in prevented_by(name))
        lines.append(f"| `{name}` | {rule['says']} | {excluded} |")
    return "\n".join(lines)


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]))
