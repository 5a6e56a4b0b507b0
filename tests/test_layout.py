"""The house in order: which room may know which, how full a room may be, and one name per idea.

The rooms and their order stand in ``docs/architecture.md``.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from tools.places import ROOT

sys.path.insert(0, str(ROOT / "docs"))

from make_architecture import FLOORS, PICTURE, PLUGINS, draw, imports, modules, room

FOLDERS = ("phybench", *PLUGINS)
MAY_REACH = {
    "cli": ("phybench.training", "phybench.refiners.serving"),
    "api": ("phybench.refiners.rewriter",),
    "training": ("phybench.refiners",),
}
"""Who may import what of the folders of plugins: the commands that training and the server of
refiners have of their own, `phybench.refiner()`, and training, which writes what `phyprompt`
reads."""
ALIASES = ("phybench.contracts", "phybench.digest", "phybench.testing", "phybench.__main__")
"""Public doors of the house: they belong to no floor, and nothing inside goes through them."""
MOST_FILES, MOST_LINES, MEDIAN_LINES, LEAST_DOCUMENTED = 17, 400, 10, 0.97


MODULES = modules()
ARROWS = imports(MODULES)


def may_reach(name: str, other: str) -> bool:
    return other.startswith(MAY_REACH.get(room(name), ("nothing",)))


def test_no_import_goes_in_a_circle() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in ARROWS[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def test_no_room_imports_one_above_it() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    upwards = [
        f"{name} imports {other}"
        for name, others in ARROWS.items()
        for other in others
        if room(name) in floor and room(name) != room(other)
        if not may_reach(name, other)
        if floor.get(room(other), -1) <= floor[room(name)]
    ]
    assert not upwards


def test_every_room_of_the_harness_has_a_floor() -> None:
    known = {name for names in FLOORS for name in names} | set(PLUGINS)
    homeless = {name for name in MODULES if room(name) not in {*known, ""}} - set(ALIASES)
    assert not homeless


@pytest.mark.parametrize("kind", PLUGINS)
def test_plugins_import_no_other_kind_of_plugin(kind: str) -> None:
    crossing = [
        f"{name} imports {other}"
        for name, others in ARROWS.items()
        for other in others
        if room(name) == kind and room(other) in PLUGINS
        if room(other) != kind and not may_reach(name, other)
    ]
    assert not crossing


def test_no_folder_is_too_full() -> None:
    paths = [path for folder in (*FOLDERS, "tests") for path in (ROOT / folder).rglob("*.py")]
    full = {
        str(folder.relative_to(ROOT)): count
        for folder, count in Counter(path.parent for path in paths).items()
        if count > MOST_FILES
    }
    assert not full


def test_no_file_is_too_long() -> None:
    paths = [path for folder in (*FOLDERS, "tests") for path in (ROOT / folder).rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in paths
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def public() -> Iterator[tuple[str, ast.AST]]:
    """Every public class, function and method with its module, and the modules themselves."""
    for name, (_, tree) in MODULES.items():
        yield name, tree
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_":
                yield name, node
                for part in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(part, ast.FunctionDef) and part.name[0] != "_":
                        yield name, part


def test_every_public_name_stands_for_one_thing() -> None:
    homes: dict[str, set[str]] = {}
    for name, (_, tree) in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_":
                homes.setdefault(node.name, set()).add(name)
    assert not {name: places for name, places in homes.items() if len(places) > 1}


def test_functions_are_short_and_documented() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.body[0].lineno + 1
        for _, tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert statistics.median(lengths) <= MEDIAN_LINES
    documented = [ast.get_docstring(node) is not None for _, node in public()]
    assert statistics.mean(documented) >= LEAST_DOCUMENTED


def test_the_picture_of_the_architecture_is_what_the_code_is() -> None:
    """After a change of the tree run ``python docs/make_architecture.py``."""
    assert PICTURE.read_text("utf-8") == draw()
