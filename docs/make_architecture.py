"""Draws ``docs/images/architecture.svg`` from the imports of the code.

Run ``python docs/make_architecture.py`` after a change of the tree. A test compares the picture
with the code, and ``tests/test_layout.py`` takes the floors from here.
"""

from __future__ import annotations

import ast
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PLUGINS = ("refiners", "generators", "judges", "training")
FLOORS = (
    ("cli",),
    ("api",),
    ("audit", "calibrate"),
    ("running",),
    ("gate",),
    ("publish",),
    ("planning",),
    ("compare",),
    ("workers",),
    ("runs",),
    ("units",),
    ("tabletop",),
    ("prompts",),
    ("video",),
    ("machine",),
    ("services",),
    ("plugins",),
    ("statistics",),
    ("errors", "version"),
)
"""From top to bottom; a room may import those below it, and no other."""
FLOW = (
    "prompts",
    "planning",
    "units",
    "workers",
    "running",
    "runs",
    "statistics",
    "compare / gate",
    "publish",
)
"""The way of the data, from a user's words to what people read."""

_ROW, _TOP, _LEFT, _WIDTH, _BOX = 34, 96, 20, 1420, 150
_STYLE = (
    "text{font:13px sans-serif;fill:#1a1a1a}.s{font-size:11px;fill:#555}"
    "rect{fill:#eef3fa;stroke:#5b7db1}.f{fill:#fdf3dc;stroke:#b58a2a}.p{fill:#eaf6ea;stroke:#5a9a5a}"
    "path{fill:none;stroke:#b58a2a;stroke-width:1.5}"
)


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    """Every module of the project by its dotted name, with its file and syntax tree."""
    found = {}
    for folder in ("phybench", *PLUGINS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if folder == "phybench" else ("phybench", *parts))
            found[name.removesuffix(".__init__")] = (path, ast.parse(path.read_text("utf-8")))
    return found


def imports(known: dict[str, tuple[Path, ast.Module]]) -> dict[str, set[str]]:
    """The modules of the project that each module imports, anywhere in it."""
    return {name: set(_imported(name, known)) & known.keys() for name in known}


def _imported(name: str, known: dict[str, tuple[Path, ast.Module]]) -> list[str]:
    path, tree = known[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            full = [f"{base}.{alias.name}" for alias in node.names]
            found += [each if each in known else base for each in full]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def room(name: str) -> str:
    """The room of a module: the folder or file below ``phybench`` that it belongs to."""
    return [*name.split("."), ""][1]


def draw() -> str:
    """The picture as SVG: the way of the data, the floors with what each uses, the plugins."""
    known = modules()
    uses: dict[str, set[str]] = {}
    for name, others in imports(known).items():
        uses.setdefault(room(name), set()).update(map(room, others))
    height = _TOP + _ROW * (len(FLOORS) + len(PLUGINS)) + 60
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{_STYLE}</style>"]
    parts += _flow()
    order = [each for floor in FLOORS for each in floor]
    for number, floor in enumerate(FLOORS):
        for column, each in enumerate(floor):
            box = _box(each, "", _LEFT + column * (_BOX + 10), _TOP + number * _ROW)
            parts.append(box)
        below = sorted(
            {other for each in floor for other in uses.get(each, ())} - set(floor) - {""}
        )
        seen = [other for other in (*order, *PLUGINS) if other in below]
        parts.append(
            _note(f"uses {', '.join(seen)}" if seen else "uses none", _TOP + number * _ROW)
        )
    for number, each in enumerate(PLUGINS, len(FLOORS)):
        top = _TOP + number * _ROW + 24
        seen = [other for other in (*order, *PLUGINS) if other in uses[each] - {each}]
        parts += [_box(each, "p", _LEFT, top), _note(f"uses {', '.join(seen)}", top)]
    return "\n".join([*parts, "</svg>", ""])


def _flow() -> list[str]:
    step = (_WIDTH - 2 * _LEFT) / len(FLOW)
    parts = [f'<text x="{_LEFT}" y="20">The way of the data</text>']
    for number, name in enumerate(FLOW):
        left = _LEFT + number * step
        parts.append(
            f'<rect class="f" x="{left:.0f}" y="30" width="{step - 14:.0f}" height="26" rx="4"/>'
            f'<text x="{left + 6:.0f}" y="48">{escape(name)}</text>'
        )
        if number:
            parts.append(f'<path d="M{left - 13:.0f} 43h10m-4 -4l4 4l-4 4"/>')
    title = "The rooms, from top to bottom: each uses those below it only"
    return [*parts, f'<text x="{_LEFT}" y="84">{title}</text>']


def _box(name: str, style: str, left: int, top: int) -> str:
    return (
        f'<rect class="{style}" x="{left}" y="{top}" width="{_BOX}" height="26" rx="4"/>'
        f'<text x="{left + 8}" y="{top + 18}">{escape(name)}</text>'
    )


def _note(text: str, top: int) -> str:
    return f'<text class="s" x="{_LEFT + 2 * _BOX + 30}" y="{top + 17}">{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
