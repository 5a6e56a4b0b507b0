"""SPEC strings: ``name`` or ``name:key=value,key=value``, on the command line and in YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from phybench.errors import ConfigError

_OPENING = {"[": "]", "(": ")", "{": "}"}
_QUOTES = "\"'"


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin as the user asked for it.

    Args:
        name: Registered name, preset name, or path of a preset yaml.
        options: The plugin's own options, as given.
        label: Name in tables (option ``as``); empty to use the plugin's own.
        python: Interpreter that runs the plugin's workers (option ``python``); empty for this one.
        workers: Worker processes (option ``workers``), or ``None`` for the executor's default.
        gpus: GPUs of each worker (option ``gpus``, executor ``ray``): a share in (0, 1], or a whole
            number; ``None`` for the executor's default.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    label: str = ""
    python: str = ""
    workers: int | None = None
    gpus: float | None = None


def parse_spec(text: str) -> PluginSpec:
    """Read a SPEC string.

    A value that holds commas is put in brackets or quotes: ``by=[judge:mode=strict,n=2]``.

    Raises:
        ConfigError: If the text is not a SPEC, or an option is given twice.
    """
    name, _, rest = text.strip().partition(":")
    if not name or name != name.strip():
        raise ConfigError(f"Expected a plugin as `name` or `name:key=value,…`, but got {text!r}.")
    options: dict[str, object] = {}
    for part in _split(rest, text):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"Expected `key=value` in {text!r}, but got {part!r}.")
        if key in options:
            raise ConfigError(f"Expected option `{key}` once in {text!r}, but got it twice.")
        options[key] = _unwrap(value.strip())
    return make_spec(name, options)


def make_spec(name: str, options: Mapping[str, object]) -> PluginSpec:
    """Build a spec from a name and all its options, the harness's own among them.

    Raises:
        ConfigError: If ``workers`` is not a whole number of at least 1, or ``gpus`` neither one
            nor a share.
    """
    own = dict(options)
    label = str(own.pop("as", ""))
    python = str(own.pop("python", ""))
    workers, gpus = own.pop("workers", None), own.pop("gpus", None)
    return PluginSpec(
        name,
        own,
        label,
        python,
        None if workers is None else _workers(workers),
        None if gpus is None else _gpus(gpus),
    )


def _workers(value: object) -> int:
    if not str(value).isdecimal() or int(str(value)) < 1:
        raise ConfigError(f"Expected `workers` to be a whole number ≥ 1, but got {value!r}.")
    return int(str(value))


def _gpus(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not (0 < number <= 1 or (number > 1 and number.is_integer())):
        raise ConfigError(
            f"Expected `gpus` to be a share in (0, 1] or a whole number, but got {value!r}."
        )
    return number


def _split(text: str, whole: str) -> Iterator[str]:
    """Split at commas outside brackets and quotes."""
    closing: list[str] = []
    start = 0
    for position, char in enumerate(text):
        if closing and char == closing[-1]:
            closing.pop()
        elif closing and closing[-1] in _QUOTES:
            continue
        elif char in _OPENING:
            closing.append(_OPENING[char])
        elif char in _QUOTES and text[position - 1 : position] in {"=", "[", "(", "{", ","}:
            closing.append(char)
        elif char == "," and not closing:
            yield text[start:position]
            start = position + 1
    if closing:
        raise ConfigError(f"Expected a closing `{closing[-1]}` in {whole!r}.")
    if text[start:].strip():
        yield text[start:]
    elif text:
        raise ConfigError(f"Expected `key=value` at the end of {whole!r}, but got nothing.")


def _unwrap(value: str) -> str:
    if len(value) >= 2 and (
        _OPENING.get(value[0]) == value[-1] or (value[0] in _QUOTES and value[0] == value[-1])
    ):
        return value[1:-1]
    return value
