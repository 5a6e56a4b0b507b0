"""Digests: what makes two units of work the same unit."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


def canonical_json(value: Any) -> str:
    """One fixed JSON text for a value: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: If the value holds NaN or infinity.
        TypeError: If the value holds something JSON cannot.
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def text_digest(*parts: str) -> str:
    """SHA-256 (hex) of several texts; ``("ab", "c")`` and ``("a", "bc")`` differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def value_digest(value: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a mapping's canonical JSON."""
    return text_digest(canonical_json(value))


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def source_digest(*modules: ModuleType) -> str:
    """:func:`code_digest` of modules, for plugins whose code *is* their model.

    With it in the fingerprint, no edit of the rules can be served an old cached result.
    """
    return code_digest(*(inspect.getsource(module) for module in modules))


def code_digest(*sources: str) -> str:
    """SHA-256 (hex) of what Python sources do.

    Comments, docstrings, imports and layout do not count, nor does the file or the order in which
    functions, classes and constants stand. Everything else does: a constant, a name, an operator.

    Raises:
        SyntaxError: If a source is not Python.
    """
    statements = [each for source in sources for each in ast.parse(source).body]
    # Sorted by name alone, so that two assignments of one name keep their order.
    known = sorted((each for each in statements if not _is_silent(each)), key=_bound_name)
    return text_digest(*(json.dumps(_shape(each)) for each in known))


def _is_silent(node: Any) -> bool:
    """Whether a part of the syntax tree changes no result."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.If) and not node.orelse and all(map(_is_silent, node.body))


def _bound_name(statement: ast.stmt) -> str:
    """The name that a statement of a module defines, empty for the others."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    if isinstance(statement, ast.AnnAssign):
        return ast.unparse(statement.target)
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0])
    return ""


def _shape(node: Any) -> Any:
    """A part of the syntax tree as JSON values, the same on every version of Python.

    Empty fields are left out, because versions differ in which of them exist.
    """
    if isinstance(node, list):
        return [_shape(each) for each in node if not _is_silent(each)]
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return [type(node).__name__, *([name, _shape(value)] for name, value in fields)]
    return repr(node)
