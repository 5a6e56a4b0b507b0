"""Finding plugins by name: entry points and preset files, loaded only when used."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, MissingExtraError, UnknownNameError
from phybench.plugins.abilities import RereadsReplies
from phybench.plugins.contracts import PluginInfo
from phybench.plugins.opened import METHODS, Kind
from phybench.plugins.options import checked_arguments, current_name, overlaid
from phybench.plugins.spec import PluginSpec, make_spec, parse_spec

_EXTRAS = {
    "torch": "local",
    "transformers": "local",
    "peft": "local",
    "accelerate": "local",
    "diffusers": "video",
    "vllm": "vllm",
    "trl": "train",
    "datasets": "hub",
    "ray": "ray",
    "tenacity": "api",
    "httpx": "api",
    "runwayml": "api",
    "fal_client": "api",
    "pyarrow": "parquet",
}


def group(kind: Kind) -> str:
    """The entry-point group that plugins of a kind register in."""
    return f"phybench.{kind}s"


def names(kind: Kind) -> list[str]:
    """All names that a SPEC of this kind can use, presets included, sorted."""
    return sorted({*_targets(kind), *(path.stem for path in _preset_files(kind))})


def create(kind: Kind, spec: str | PluginSpec) -> Any:
    """Construct a plugin in this process.

    Args:
        kind: ``refiner``, ``generator`` or ``judge``.
        spec: A SPEC string or a parsed one.

    Raises:
        ConfigError: If the name is unknown or ambiguous, an option is unknown or out of range, or
            the plugin itself refuses its options.
        MissingExtraError: If a dependency of the plugin is not installed.
    """
    asked = parse_spec(spec) if isinstance(spec, str) else spec
    target, options = resolve(kind, asked)
    factory = load_factory(kind, asked.name, target)
    arguments = checked_arguments(f"{kind} `{asked.name}`", factory, options)
    try:
        plugin = factory(**arguments)
    except ModuleNotFoundError as error:
        raise _missing(kind, asked.name, error) from error
    if not callable(getattr(plugin, METHODS[kind], None)) or not isinstance(
        getattr(plugin, "info", None), PluginInfo
    ):
        raise ConfigError(
            f"Expected {kind} `{asked.name}` to have `info` and `{METHODS[kind]}()`, but "
            f"{target.value} made a {type(plugin).__name__} without them."
        )
    return plugin


def open_rereader(spec: PluginSpec) -> RereadsReplies | None:
    """What reads a judge's raw replies again, if possible without its weights, key or server.

    Returns:
        ``None`` if the judge runs in another interpreter, or cannot reread its replies (see
        :class:`~phybench.plugins.abilities.RereadsReplies`).

    Raises:
        ConfigError: As :func:`create`.
    """
    if spec.python:
        return None
    target, options = resolve("judge", spec)
    factory = load_factory("judge", spec.name, target)
    if rereader := getattr(factory, "rereader", None):
        found = rereader(**checked_arguments(f"judge `{spec.name}`", factory, options))
    elif inspect.isclass(factory) and not hasattr(factory, "reread"):
        return None
    else:
        found = create("judge", spec)
    return found if isinstance(found, RereadsReplies) else None


def expand(kind: Kind, spec: PluginSpec) -> list[PluginSpec]:
    """The specs that one SPEC stands for.

    A plugin class may have a static ``expand(options)`` that returns several option sets, as the
    generator ``files`` does for ``model=*``.
    """
    target, options = resolve(kind, spec)
    factory = None if spec.python else load_factory(kind, spec.name, target)
    expander = getattr(factory, "expand", None)
    if expander is None:
        return [spec]
    return [
        replace(
            make_spec(target.name, found), label=spec.label, workers=spec.workers, gpus=spec.gpus
        )
        for found in expander(options)
    ]


def resolve(kind: Kind, spec: PluginSpec) -> tuple[EntryPoint, dict[str, object]]:
    """The entry point behind a name and the options to call it with (preset first, user last).

    Raises:
        ConfigError: If there is no such name; the message suggests similar ones.
    """
    targets = _targets(kind)
    if spec.name in targets:
        return targets[spec.name], dict(spec.options)
    preset = _preset(kind, spec.name)
    if preset is None:
        raise UnknownNameError(kind, spec.name, names(kind))
    if preset["plugin"] not in targets:
        raise UnknownNameError(f"plugin of preset `{spec.name}`", preset["plugin"], targets)
    return targets[preset["plugin"]], overlaid(preset.get("options") or {}, spec.options)


def accepts(kind: Kind, spec: PluginSpec, option: str) -> bool:
    """Whether a plugin has an option; false for one in another interpreter, which cannot be asked.

    Raises:
        ConfigError: If there is no such plugin.
        MissingExtraError: If its module needs a dependency that is not installed.
    """
    if spec.python:
        return False
    target, _ = resolve(kind, spec)
    known = inspect.signature(load_factory(kind, spec.name, target)).parameters
    return option in known or current_name(option) in known


def with_default(kind: Kind, spec: PluginSpec, option: str, value: object) -> PluginSpec:
    """The spec with an option that neither the user nor a preset gives, if the plugin has it."""
    given = {current_name(name) for name in resolve(kind, spec)[1]}
    if not accepts(kind, spec, option) or current_name(option) in given:
        return spec
    return replace(spec, options={**spec.options, option: value})


def _targets(kind: Kind) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group(kind)):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigError(
                f"Expected one {kind} named `{entry.name}`, but {_origin(other)} and "
                f"{_origin(entry)} both register it. Uninstall one of them."
            )
    return found


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "an unknown package"
    return f"{entry.value} (of {package})"


def _preset_files(kind: Kind) -> list[Path]:
    package = importlib.import_module(group(kind))
    return sorted(Path(str(package.__file__)).parent.glob("presets/*.yaml"))


def _preset(kind: Kind, name: str) -> dict[str, Any] | None:
    paths = {path.stem: path for path in _preset_files(kind)}
    path = Path(name) if name.endswith(".yaml") else paths.get(name)
    if path is None:
        return None
    import yaml

    try:
        preset = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read preset {name!r}: {error}.") from error
    if not isinstance(preset, dict) or not isinstance(preset.get("plugin"), str):
        raise ConfigError(f"Expected preset {name!r} to have a key `plugin`, but it has none.")
    return preset


def load_factory(kind: Kind, name: str, target: EntryPoint) -> Any:
    """The class or function behind an entry point that :func:`resolve` found.

    Raises:
        ConfigError: If there is none.
        MissingExtraError: If its module needs a dependency that is not installed.
    """
    try:
        return target.load()
    except ModuleNotFoundError as error:
        raise _missing(kind, name, error) from error
    except AttributeError as error:
        raise ConfigError(
            f"Cannot load {kind} `{name}` from {_origin(target)}: {error}."
        ) from error


def _missing(kind: Kind, name: str, error: ModuleNotFoundError) -> ConfigError:
    module = (error.name or "").partition(".")[0]
    if module in _EXTRAS:
        return MissingExtraError(f"{kind} `{name}`", module, _EXTRAS[module])
    return ConfigError(f"{kind} `{name}` needs `{error.name}`, which is not installed.")
