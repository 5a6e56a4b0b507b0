"""What a run is asked to do, from the command line or a YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, unknown
from phybench.plugins.contracts import VideoSettings
from phybench.plugins.spec import PluginSpec, make_spec, parse_spec
from phybench.video.common_view import View, make_view, parse_view

MAX_SEEDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run.

    Args:
        refiners: Refiners of the matrix.
        generators: Generators of the matrix.
        judges: Judges of the matrix.
        prompts: A prompt set's name or file; empty to take the prompts that the generators bring
            (clips on disk), or the bundled test set.
        limit: Only the first prompts, or ``None`` for all.
        seeds: Clips per prompt and arm, in 1..1000.
        seed: The run's seed.
        settings: Wishes for every clip.
        view: How every clip is shown to the judges, or ``None`` to show it as it is.
        retry_over_budget: Whether a text above the generator's prompt budget goes back to its
            refiner, once, with the budget.
    """

    refiners: tuple[PluginSpec, ...]
    generators: tuple[PluginSpec, ...]
    judges: tuple[PluginSpec, ...]
    prompts: str = ""
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


def read_config(path: Path) -> dict[str, Any]:
    """Read a run's YAML file into keyword arguments of :class:`RunConfig`.

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
    known = [each.name for each in fields(RunConfig)]
    for key in data:
        if key not in known:
            raise ConfigError(unknown(f"key in {str(path)!r}", str(key), known))
    return {key: _value(key, value, path) for key, value in data.items()}


def _value(key: str, value: Any, path: Path) -> Any:
    if key in {"refiners", "generators", "judges"}:
        return specs(value if isinstance(value, list) else [value])
    if key == "settings":
        return _settings(value, path)
    if key == "view":
        return make_view(value) if isinstance(value, Mapping) else parse_view(str(value))
    wanted: type = {"prompts": str, "retry_over_budget": bool}.get(key, int)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(
            f"Expected `{key}` in {str(path)!r} to be {wanted.__name__}, but got {value!r}."
        )
    return value


def _settings(value: Any, path: Path) -> VideoSettings:
    known = [each.name for each in fields(VideoSettings)]
    if not isinstance(value, Mapping):
        raise ConfigError(f"Expected `settings` in {str(path)!r} to be a mapping, got {value!r}.")
    for key, number in value.items():
        if key not in known:
            raise ConfigError(unknown(f"key of `settings` in {str(path)!r}", str(key), known))
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise ConfigError(f"Expected `{key}` to be a number, but got {number!r}.")
    return VideoSettings(**value)


def specs(values: Sequence[str | Mapping[str, object]]) -> tuple[PluginSpec, ...]:
    """Parse plugins given as SPEC strings or as mappings with ``name`` and options.

    Raises:
        ConfigError: If one of them is neither.
    """
    found = []
    for value in values:
        if isinstance(value, str):
            found.append(parse_spec(value))
        elif isinstance(value, Mapping) and isinstance(value.get("name"), str):
            options = {str(key): option for key, option in value.items() if key != "name"}
            found.append(make_spec(str(value["name"]), options))
        else:
            raise ConfigError(f"Expected a SPEC or a mapping with `name`, but got {value!r}.")
    return tuple(found)
