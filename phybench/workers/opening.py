"""Making plugins ready: in this process, or behind one in another interpreter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from phybench.errors import ConfigError
from phybench.plugins.contracts import PluginInfo
from phybench.plugins.opened import METHODS, Asked, Kind, Opened
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


def open_plugin(kind: Kind, asked: Asked) -> Opened:
    """Construct a plugin where its SPEC wants it and describe it; an object is taken as it is.

    Raises:
        ConfigError: As :func:`construct`; or if the object is no plugin of this kind.
    """
    if not isinstance(asked, PluginSpec):
        return _opened_object(kind, asked)
    if asked.python:
        from phybench.workers.remote import RemotePlugin

        plugin: Any = RemotePlugin(kind, asked)
    else:
        plugin = construct(kind, asked)
    info = replace(plugin.info, name=asked.label) if asked.label else plugin.info
    return Opened(kind, asked, plugin, info)


def _opened_object(kind: Kind, plugin: Any) -> Opened:
    """A plugin object; its class stands for the name that a SPEC would give."""
    made_by = type(plugin)
    name = f"{made_by.__module__}.{made_by.__qualname__}"
    info = getattr(plugin, "info", None)
    if not callable(getattr(plugin, METHODS[kind], None)) or not isinstance(info, PluginInfo):
        raise ConfigError(
            f"Expected a {kind} with `info` and `{METHODS[kind]}()`, but got an object of `{name}`."
        )
    return Opened(kind, PluginSpec(name), plugin, info, own=True)


def open_alone(kind: Kind, asked: Asked) -> Opened:
    """Construct a plugin that this process alone will call.

    Raises:
        ConfigError: If it cannot be constructed, or its SPEC asks for a pool of workers or for
            shares of GPUs.
    """
    opened = open_plugin(kind, asked)
    refuse_pool(opened)
    return opened
