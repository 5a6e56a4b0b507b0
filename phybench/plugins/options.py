"""A plugin's options: checked against its signature and turned into its types."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from phybench.errors import ConfigError, unknown


def checked_arguments(what: str, factory: Any, options: Mapping[str, object]) -> dict[str, Any]:
    """Check options against the factory's signature and turn strings into its types."""
    signature = inspect.signature(factory)
    accepted = {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    }
    for name in options:
        if name not in accepted:
            raise ConfigError(unknown(f"option of {what}", name, accepted))
    for name, parameter in accepted.items():
        if parameter.default is parameter.empty and name not in options:
            raise ConfigError(f"Expected {what} to be given `{name}`, but it is missing.")
    return _coerced(what, factory, options) if options else {}


def _coerced(what: str, factory: Any, options: Mapping[str, object]) -> dict[str, Any]:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    function = factory.__init__ if inspect.isclass(factory) else factory
    hints = typing.get_type_hints(function, include_extras=True)
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
