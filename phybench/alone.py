"""Plugins that are called one after another, by no executor."""

from __future__ import annotations

from phybench.executors.base import refuse_pool
from phybench.plugins.opened import Kind, Opened
from phybench.plugins.registry import open_plugin
from phybench.plugins.spec import PluginSpec


def open_alone(kind: Kind, spec: PluginSpec) -> Opened:
    """Construct a plugin that this process alone will call.

    Raises:
        ConfigError: If it cannot be constructed, or its SPEC asks for a pool of workers or for
            shares of GPUs.
    """
    opened = open_plugin(kind, spec)
    refuse_pool(opened)
    return opened
