"""What counts as a change of code, and what does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.judges.kinematic.plugin import _fingerprint
from phybench.machine.digest import code_digest, source_digest
from phybench.plugins.contracts import PluginInfo
from phybench.plugins.opened import Kind
from phybench.plugins.registry import create
from phybench.tabletop.fingerprint import world_digest

RULES = '''
"""Rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 3.0
"""Above it, a motion counts."""


class Fall:
    """A fall."""

    height: float = 1.0


def counts(speed: float) -> bool:
    """Whether a speed counts."""
    return speed > LIMIT  # strictly
'''
SAME = {
    "a comment": ("# strictly", "# more than"),
    "a docstring": ('"""Whether a speed counts."""', '"""Say whether it counts."""'),
    "the docstring of a constant": ('"""Above it, a motion counts."""', ""),
    "an import": ("from typing import", "import math\nfrom typing import"),
    "an import for types": ("from pathlib import Path", "from pathlib import PurePath"),
    "layout": ("return speed > LIMIT", "return (\n        speed > LIMIT\n    )"),
}
OTHER = {
    "a constant": ("LIMIT = 3.0", "LIMIT = 3.5"),
    "an operator": ("speed > LIMIT", "speed >= LIMIT"),
    "a default": ("height: float = 1.0", "height: float = 2.0"),
    "a name": ("class Fall", "class Drop"),
    "a returned text": ("return speed > LIMIT", "return 'speed > LIMIT'"),
    "a statement more": ("LIMIT = 3.0", "LIMIT = 3.0\nLIMIT = 4.0"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_result_changes_no_digest(change: str) -> None:
    edited = RULES.replace(*SAME[change])
    assert edited != RULES
    assert code_digest(edited) == code_digest(RULES)


@pytest.mark.parametrize("change", OTHER)
def test_what_can_change_a_result_changes_the_digest(change: str) -> None:
    assert code_digest(RULES.replace(*OTHER[change])) != code_digest(RULES)


def test_two_assignments_of_one_name_keep_their_order() -> None:
    assert code_digest("X = 1\nX = 2\n") != code_digest("X = 2\nX = 1\n")


def test_a_function_may_move_to_another_file() -> None:
    start = RULES.index("def counts")
    assert code_digest(RULES[:start], RULES[start:]) == code_digest(RULES)
    assert code_digest(RULES[start:], RULES[:start]) == code_digest(RULES)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_digests_are_equal_where_constants_are(first: float, second: float) -> None:
    same = repr(first) == repr(second)
    assert (code_digest(f"X = {first!r}") == code_digest(f"X = {second!r}")) is same


def test_a_module_has_the_digest_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules_of_a_test.py").write_text(RULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert source_digest(import_module("rules_of_a_test")) == code_digest(RULES)
    del sys.modules["rules_of_a_test"]


def _with(addition: str) -> Callable[..., str]:
    """``Path.read_text`` on a tree in which every Python file ends with an addition."""
    read = Path.read_text

    def read_text(path: Path, *args: Any, **options: Any) -> str:
        text = read(path, *args, **options)
        return text + addition if path.suffix == ".py" else text

    return read_text


def fingerprint(kind: Kind, name: str) -> Mapping[str, Any]:
    world_digest.cache_clear()
    _fingerprint.cache_clear()
    info: PluginInfo = create(kind, name).info
    return info.fingerprint


PLUGINS: list[tuple[Kind, str]] = [
    ("judge", "kinematic"),
    ("judge", "oracle"),
    ("generator", "tabletop"),
    ("refiner", "template"),
]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_the_embedded_plugins_keep_their_fingerprint_under_a_comment(
    kind: Kind, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(kind, name)
    monkeypatch.setattr(Path, "read_text", _with("\n# A remark.\n"))
    assert fingerprint(kind, name) == before


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_the_embedded_plugins_change_their_fingerprint_with_a_constant(
    kind: Kind, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(kind, name)
    monkeypatch.setattr(Path, "read_text", _with("\nADDED = 1\n"))
    assert fingerprint(kind, name) != before
