"""What a plugin is and takes, from its signature and docstring."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phybench.errors import UnknownNameError
from phybench.plugins.opened import KINDS, Kind
from phybench.plugins.options import option_types
from phybench.plugins.registry import load_factory, names, resolve
from phybench.plugins.spec import PluginSpec


@dataclass(frozen=True, slots=True)
class OptionText:
    """An option of a plugin.

    Args:
        name: What it is called in a SPEC.
        type: Its type, with choices and range.
        default: Its default as Python writes it; ``None`` if it must be given.
        text: The sentences that document it.
    """

    name: str
    type: str
    default: str | None
    text: str


@dataclass(frozen=True, slots=True)
class PluginText:
    """A plugin, or a preset of one.

    Args:
        kind: ``refiner``, ``generator`` or ``judge``.
        name: What it is called in a SPEC.
        plugin: The plugin behind it; the name itself unless it is a preset.
        text: The plugin's description.
        options: What it takes.
        preset: The options that the preset gives.
    """

    kind: Kind
    name: str
    plugin: str
    text: str
    options: tuple[OptionText, ...]
    preset: Mapping[str, object]


def describe_plugins(name: str) -> list[PluginText]:
    """Describe every plugin or preset of a name; kinds may share one.

    Raises:
        ConfigError: If there is none; the message suggests similar names.
        MissingExtraError: If its module needs a dependency that is not installed.
    """
    known = {kind: names(kind) for kind in KINDS}
    kinds = [kind for kind in KINDS if name in known[kind]]
    if not kinds:
        every = {each for found in known.values() for each in found}
        raise UnknownNameError("refiner, generator or judge", name, every)
    return [_described(kind, name) for kind in kinds]


def _described(kind: Kind, name: str) -> PluginText:
    target, preset = resolve(kind, PluginSpec(name))
    factory = load_factory(kind, name, target)
    text, documented = _parts(inspect.getdoc(factory) or "")
    hints = option_types(factory)
    options = tuple(
        _option(each, hints.get(each.name, str), documented.get(each.name, ""))
        for each in inspect.signature(factory).parameters.values()
    )
    return PluginText(kind, name, target.name, text, options, preset)


def _option(parameter: inspect.Parameter, hint: Any, text: str) -> OptionText:
    default = None if parameter.default is parameter.empty else repr(parameter.default)
    return OptionText(parameter.name, _shown(hint), default, text)


def _shown(hint: Any) -> str:
    """A type in words that need no source: its choices and its range, not its alias."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(repr(part) for part in parts)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(_shown(part) for part in parts)
    if origin is typing.Annotated:
        limits = [limit for field in parts[1:] for limit in getattr(field, "metadata", ())]
        words = ", ".join(str(limit).partition("(")[2].rstrip(")") for limit in limits)
        return f"{_shown(parts[0])} ({words})" if words else _shown(parts[0])
    if hint is types.NoneType:
        return "None"
    return hint.__name__ if inspect.isclass(hint) and not parts else str(hint)


def _parts(docstring: str) -> tuple[str, dict[str, str]]:
    """A Google docstring as description and one text per argument."""
    description, _, rest = docstring.partition("\nArgs:\n")
    documented: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        if start := re.match(r" {4}(\w+): (.*)", line):
            name = start[1]
            documented[name] = start[2]
        elif name:
            documented[name] = f"{documented[name]} {line.strip()}".strip()
    return re.split(r"\n(?:Raises|Returns):\n", description)[0].strip(), documented
