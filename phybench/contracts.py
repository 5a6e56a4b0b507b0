"""The contracts of plugins, under the name that plugins import: :mod:`phybench.plugins.contracts`."""

from phybench.plugins.contracts import *  # noqa: F403  an alias of the whole module
