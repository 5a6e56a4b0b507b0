"""Making plugins ready: in this process, or behind one in another interpreter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from phybench.plugins.opened import Kind, Opened
from phybench.plugins.registry import create
from phybench.plugins.spec import PluginSpec
from phybench.video.common_view import View
from phybench.video.view_maker import Viewer
from phybench.workers.executor import refuse_pool


def open_viewer(view: View) -> Opened:
    """A view as executors take it."""
    viewer = Viewer(**view.options())
    return Opened("view", PluginSpec(str(view), view.options()), viewer, viewer.info)


def construct(kind: Kind, spec: PluginSpec) -> Any:
    """Construct a plugin, or the maker of a view, in this process.

    Raises:
        ConfigError: As :func:`~phybench.plugins.registry.create`.
    """
    if kind == "view":
        return Viewer(**dict[str, Any](spec.options))
    return create(kind, spec)


def open_plugin(kind: Kind, spec: PluginSpec) -> Opened:
    """Construct a plugin where the spec wants it and describe it.

    Raises:
        ConfigError: As :func:`construct`.
    """
    if spec.python:
        from phybench.workers.remote import RemotePlugin

        plugin: Any = RemotePlugin(kind, spec)
    else:
        plugin = construct(kind, spec)
    info = replace(plugin.info, name=spec.label) if spec.label else plugin.info
    return Opened(kind, spec, plugin, info)


def open_alone(kind: Kind, spec: PluginSpec) -> Opened:
    """Construct a plugin that this process alone will call.

    Raises:
        ConfigError: If it cannot be constructed, or its SPEC asks for a pool of workers or for
            shares of GPUs.
    """
    opened = open_plugin(kind, spec)
    refuse_pool(opened)
    return opened
