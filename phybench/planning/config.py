"""What a run is asked to do: the same options as flags, in a YAML file and as Python keywords.

Each front hands over what was given, as a mapping; :func:`run_options` puts the mappings on top of
each other and makes the one object that a run is done from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from phybench.errors import ConfigError, MissingExtraError, UnknownNameError
from phybench.plugins.contracts import PluginInfo, VideoSettings
from phybench.plugins.opened import Asked
from phybench.plugins.registry import create
from phybench.plugins.spec import PluginSpec, make_spec, parse_spec
from phybench.video.common_view import View, make_view, parse_view

MAX_SEEDS = 1000
DEFAULT_REFINERS = ("identity", "template")
TRAINED_HERE = "phyprompt-mini"
"""The refiner that was trained on the embedded world: part of the default run there, and of no use
anywhere else."""
DEFAULT_GENERATORS = ("tabletop",)
DEFAULT_JUDGES = ("kinematic",)
DEFAULT_LIMIT = 150
"""Prompts of the bundled set when no prompt set is named: a run of under a minute on two cores."""
DEFAULT_SEEDS = 2
_PLUGINS = ("refiners", "generators", "judges")
_SETTINGS = tuple(each.name for each in fields(VideoSettings))
_TYPES: Mapping[str, type] = {
    "limit": int,
    "seeds": int,
    "seed": int,
    "retry_over_budget": bool,
    "output": Path,
    "executor": str,
    "workers": int,
    "cache": Path,
    "plots": bool,
    "quiet": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run.

    Args:
        refiners: Refiners of the matrix.
        generators: Generators of the matrix.
        judges: Judges of the matrix.
        prompts: A prompt set's name or file, or the texts themselves; empty to take the prompts
            that the generators bring (clips on disk), or the bundled test set.
        limit: Only the first prompts, or ``None`` for all.
        seeds: Clips per prompt and arm, in 1..1000.
        seed: The run's seed.
        settings: Wishes for every clip.
        view: How every clip is shown to the judges, or ``None`` to show it as it is.
        retry_over_budget: Whether a text above the generator's prompt budget goes back to its
            refiner, once, with the budget.
    """

    refiners: tuple[Asked, ...]
    generators: tuple[Asked, ...]
    judges: tuple[Asked, ...]
    prompts: str | tuple[str, ...] = ""
    limit: int | None = None
    seeds: int = 1
    seed: int = 0
    settings: VideoSettings = field(default_factory=VideoSettings)
    view: View | None = None
    retry_over_budget: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= MAX_SEEDS:
            raise ConfigError(f"Expected `seeds` to be in 1..{MAX_SEEDS}, but got {self.seeds}.")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"Expected `limit` to be ≥ 1, but got {self.limit}.")
        if self.seed < 0:
            raise ConfigError(f"Expected `seed` to be ≥ 0, but got {self.seed}.")
        for name in ("frames", "fps", "width", "height"):
            value = getattr(self.settings, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"Expected `{name}` to be > 0 and finite, but got {value}.")
        for name in ("refiners", "generators", "judges"):
            if not getattr(self, name):
                raise ConfigError(f"Expected at least one of `{name}`, but got none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """A run, and how it is done; the latter changes no number.

    Args:
        config: The run.
        output: The run's folder; ``None`` for one below ``results/runs`` that follows from the run.
        executor: ``serial``, ``local`` or ``ray``.
        workers: Processes per plugin, or ``None`` for the executor's default.
        cache: The cache's folder; ``None`` for ``$PHYBENCH_CACHE`` or the user's.
        plots: Whether plots are drawn.
        quiet: Whether progress is hidden.
        remarks: What the person should know of how the options were read.
    """

    config: RunConfig
    output: Path | None = None
    executor: str = "local"
    workers: int | None = None
    cache: Path | None = None
    plots: bool = True
    quiet: bool = False
    remarks: tuple[str, ...] = ()


class RunKeywords(TypedDict, total=False):
    """The keywords of ``phybench.run`` and ``phybench.plan``: the keys of a YAML file."""

    refiners: Asked | str | Sequence[Asked | str]
    generators: Asked | str | Sequence[Asked | str]
    judges: Asked | str | Sequence[Asked | str]
    prompts: str | Path | Sequence[str]
    limit: int | None
    seeds: int
    seed: int
    settings: VideoSettings | Mapping[str, float]
    frames: int | None
    fps: float | None
    width: int | None
    height: int | None
    view: View | str | Mapping[str, Any] | None
    retry_over_budget: bool
    output: Path | str | None
    executor: str
    workers: int | None
    cache: Path | str | None
    plots: bool
    quiet: bool


OPTIONS = tuple(RunKeywords.__annotations__)
"""Every option of a run, by its name in YAML and Python."""


def run_options(given: Mapping[str, Any], file: Path | None = None) -> RunOptions:
    """Read a run's options: what is given wins over the file, the file over the defaults.

    ``settings`` are put together field by field.

    Args:
        given: Options by name (:data:`OPTIONS`); ``None`` stands for an option that is not given.
        file: A YAML file with options.

    Raises:
        ConfigError: If an option is unknown, of a wrong type or out of range, or the file cannot
            be read.
    """
    below = read_config(file) if file else {}
    above = option_values(given)
    settings = _laid_over(below.get("settings"), above.get("settings"))
    wanted = {**below, **above, "settings": settings}
    own = {each.name for each in fields(RunConfig)}
    how = {key: value for key, value in wanted.items() if key not in own}
    asked = {key: value for key, value in wanted.items() if key in own}
    remarks = _fill_in(asked)
    return RunOptions(config=RunConfig(**asked), remarks=remarks, **how)


def _laid_over(below: VideoSettings | None, above: VideoSettings | None) -> VideoSettings:
    given = {name: getattr(above, name, None) for name in _SETTINGS}
    return replace(
        below or VideoSettings(), **{name: each for name, each in given.items() if each is not None}
    )


def _fill_in(asked: dict[str, Any]) -> tuple[str, ...]:
    """Add the defaults that depend on other options; returns what to say about it."""
    remarks: tuple[str, ...] = ()
    asked.setdefault("generators", specs(DEFAULT_GENERATORS))
    asked.setdefault("judges", specs(DEFAULT_JUDGES))
    # Clips on disk are there already: nothing can be refined any more, and there is one of each.
    on_disk = _all_named("files", asked["generators"])
    if "refiners" not in asked:
        names, remarks = (("identity",), ()) if on_disk else _usual_refiners(asked["generators"])
        asked["refiners"] = specs(names)
    asked.setdefault("seeds", 1 if on_disk else DEFAULT_SEEDS)
    if "prompts" not in asked and not on_disk:
        asked.setdefault("limit", DEFAULT_LIMIT)
    return remarks


def _all_named(name: str, asked: Sequence[Asked]) -> bool:
    return all(isinstance(one, PluginSpec) and one.name == name for one in asked)


def _usual_refiners(generators: Sequence[Asked]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The default refiners, and what is left out and why."""
    if not _all_named("tabletop", generators):
        return DEFAULT_REFINERS, ()
    try:
        create("refiner", TRAINED_HERE)
    except MissingExtraError as error:
        return DEFAULT_REFINERS, (f"Without `{TRAINED_HERE}`: {error}",)
    return (*DEFAULT_REFINERS, TRAINED_HERE), ()


def read_config(path: Path) -> dict[str, Any]:
    """Read a run's YAML file into options with values of their types.

    Plugins are SPEC strings or mappings with ``name`` and their options.

    Raises:
        ConfigError: If the file cannot be read, or holds an unknown key or a wrong type.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read the config {str(path)!r}: {error}.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"Expected keys and values in {str(path)!r}, but got {data!r}.")
    return option_values(data, f" in {str(path)!r}")


def option_values(given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Options with values of their types; those that are ``None`` are left out.

    Args:
        given: Options by name, as they were typed.
        where: Who gave them, for messages, as in "Expected `seeds` in 'run.yaml' to be …".

    Raises:
        ConfigError: If an option is unknown or of a wrong type.
    """
    for key in given:
        if key not in OPTIONS:
            raise UnknownNameError(f"key{where}" if where else "option", str(key), OPTIONS)
    there = {key: value for key, value in given.items() if value is not None}
    flat = {key: there.pop(key) for key in _SETTINGS if key in there}
    found = {key: _value(key, value, where) for key, value in there.items()}
    if flat:
        found["settings"] = _laid_over(found.get("settings"), _settings(flat, where))
    return found


def _value(key: str, value: Any, where: str) -> Any:
    if key in _PLUGINS:
        return specs(value if isinstance(value, list | tuple) else [value])
    if key == "settings":
        return value if isinstance(value, VideoSettings) else _settings(value, where)
    if key == "view":
        return _view(value)
    if key == "prompts":
        return _prompts(value, where)
    wanted = _TYPES[key]
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        kind = "a path" if wanted is Path else wanted.__name__
        raise ConfigError(f"Expected `{key}`{where} to be {kind}, but got {value!r}.")
    return value


def _view(value: Any) -> View:
    if isinstance(value, View):
        return value
    return make_view(value) if isinstance(value, Mapping) else parse_view(str(value))


def _prompts(value: Any, where: str) -> str | tuple[str, ...]:
    if isinstance(value, str | Path):
        return str(value)
    texts = tuple(value) if isinstance(value, list | tuple) else ()
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"Expected `prompts`{where} to name a prompt set or file, or to be a list of texts, "
            f"but got {value!r}."
        )
    return texts


def _settings(value: Any, where: str) -> VideoSettings:
    if not isinstance(value, Mapping):
        raise ConfigError(f"Expected `settings`{where} to be a mapping, but got {value!r}.")
    for key, number in value.items():
        if key not in _SETTINGS:
            raise UnknownNameError(f"key of `settings`{where}", str(key), _SETTINGS)
        if number is None:
            continue
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise ConfigError(f"Expected `{key}` to be a number, but got {number!r}.")
    return VideoSettings(**value)


def specs(values: Sequence[Asked | str | Mapping[str, object]]) -> tuple[Asked, ...]:
    """Read plugins: SPEC strings, mappings with ``name`` and options, or plugin objects.

    Raises:
        ConfigError: If one of them is none of these.
    """
    return tuple(_asked(value) for value in values)


def _asked(value: Any) -> Asked:
    if isinstance(value, str):
        return parse_spec(value)
    if isinstance(value, PluginSpec):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        options = {str(key): option for key, option in value.items() if key != "name"}
        return make_spec(str(value["name"]), options)
    if isinstance(getattr(value, "info", None), PluginInfo):
        plugin: Asked = value
        return plugin
    raise ConfigError(
        "Expected a SPEC or a mapping with `name`, or in Python a plugin object, "
        f"but got {value!r}."
    )
