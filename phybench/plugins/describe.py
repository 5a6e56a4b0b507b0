"""What a plugin is and takes, from its signature and docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phybench.errors import ConfigError, unknown
from phybench.plugins.opened import KINDS, Kind
from phybench.plugins.registry import load_factory, names, resolve
from phybench.plugins.spec import PluginSpec


@dataclass(frozen=True, slots=True)
class OptionText:
    """An option of a plugin.

    Args:
        name: What it is called in a SPEC.
        type: Its type, as the plugin's source has it.
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
        raise ConfigError(unknown("refiner, generator or judge", name, every))
    return [_described(kind, name) for kind in kinds]


def _described(kind: Kind, name: str) -> PluginText:
    target, preset = resolve(kind, PluginSpec(name))
    factory = load_factory(kind, name, target)
    text, documented = _parts(inspect.getdoc(factory) or "")
    parameters = inspect.signature(factory).parameters.values()
    options = tuple(_option(each, documented.get(each.name, "")) for each in parameters)
    return PluginText(kind, name, target.name, text, options, preset)


def _option(parameter: inspect.Parameter, text: str) -> OptionText:
    absent = parameter.empty
    default = None if parameter.default is absent else repr(parameter.default)
    hint = parameter.annotation
    return OptionText(parameter.name, "" if hint is absent else _shown(hint), default, text)


def _shown(hint: Any) -> str:
    """A type without what only the type checker needs."""
    return re.sub(r"Annotated\[(\w+), Field\((.*?)\)\]", r"\1 (\2)", str(hint))


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
