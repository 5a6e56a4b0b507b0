"""A plugin's options: checked against its signature and turned into its types."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from phybench.errors import ConfigError, UnknownNameError

_RENAMED = {"quantize": "quantisation"}
"""Options that had another name in some plugins, old name first; the old one keeps working."""


def current_name(option: str) -> str:
    """What an option is called now, whichever of its names is given."""
    return _RENAMED.get(option, option)


def overlaid(defaults: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Given options on top of defaults, which they replace under their old names too."""
    replaced = {current_name(name) for name in given}
    kept = {name: value for name, value in defaults.items() if current_name(name) not in replaced}
    return {**kept, **given}


def checked_arguments(what: str, factory: Any, options: Mapping[str, object]) -> dict[str, Any]:
    """Check options against the factory's signature and turn strings into its types."""
    signature = inspect.signature(factory)
    accepted = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    }
    options = _renamed(what, options, accepted)
    for name in options:
        if name not in accepted:
            raise UnknownNameError(f"option of {what}", name, accepted)
    for name, parameter in accepted.items():
        if parameter.default is parameter.empty and name not in options:
            raise ConfigError(f"Expected {what} to be given `{name}`, but it is missing.")
    return _coerced(what, factory, options) if options else {}


def _renamed(
    what: str, options: Mapping[str, object], accepted: Collection[str]
) -> dict[str, object]:
    """The options under the names that the plugin has for them."""
    result = dict(options)
    for old in [name for name in options if name not in accepted]:
        new = current_name(old)
        if new not in accepted:
            continue
        if new in options:
            raise ConfigError(
                f"Expected option `{new}` of {what} once, but got it as `{old}` too. "
                f"Leave `{old}` out: it is the old name."
            )
        _tell_once(f"Option `{old}` of {what} is now called `{new}`.\n")
        result[new] = result.pop(old)
    return result


@cache
def _tell_once(notice: str) -> None:
    sys.stderr.write(notice)


def option_types(factory: Any) -> dict[str, Any]:
    """The types of a plugin's options, with their ranges."""
    function = factory.__init__ if inspect.isclass(factory) else factory
    return typing.get_type_hints(function, include_extras=True)


def _coerced(what: str, factory: Any, options: Mapping[str, object]) -> dict[str, Any]:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    hints = option_types(factory)
    arguments: dict[str, Any] = {}
    for name, value in options.items():
        hint = hints.get(name, str)
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_config(hint, ConfigDict))
        try:
            arguments[name] = adapter.validate_python(_listed(hint, value))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ConfigError(
                f"Expected option `{name}` of {what} to be valid, but got {value!r}: {reason}."
            ) from error
    return arguments


def _config(hint: Any, config: Any) -> Any:
    """Numbers given for text options (``revision=2`` from YAML) are text."""
    return config(coerce_numbers_to_str=True) if hint in {str, str | None} else None


def _listed(hint: Any, value: object) -> object:
    """``a|b`` stands for a list where the option is one."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    listed = any(typing.get_origin(option) in {list, tuple, set, frozenset} for option in options)
    return value.split("|") if listed and isinstance(value, str) else value
