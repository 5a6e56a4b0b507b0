"""A plugin that is ready to be described and called, and the kinds there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phybench.plugins.contracts import Generator, Judge, PluginInfo, Refiner
from phybench.plugins.spec import PluginSpec

Kind = Literal["refiner", "generator", "view", "judge"]
"""A stage of a run. A view is no plugin of anyone's: its options alone say what it is."""
Plugin = Refiner | Generator | Judge
Asked = PluginSpec | Plugin
"""How a plugin is asked for: by a SPEC, or from Python as an object that is there already."""
KINDS: tuple[Kind, ...] = ("refiner", "generator", "judge")
METHODS: Mapping[Kind, str] = {"refiner": "refine", "generator": "generate", "judge": "score"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A plugin that is ready to be described and called in this process.

    Args:
        kind: What it is.
        spec: How the user asked for it.
        plugin: The object.
        info: Its description, with the user's label if one was given.
        own: Whether it is an object of the caller's, which no other process has.
    """

    kind: Kind
    spec: PluginSpec
    plugin: Any
    info: PluginInfo
    own: bool = False

    @property
    def stays_here(self) -> bool:
        """Whether this process calls it, whatever the executor is."""
        return self.own or self.info.free
