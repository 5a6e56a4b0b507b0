"""The contracts of plugins, under the name that plugins import.

They stand in :mod:`phybench.plugins.contracts` and :mod:`phybench.plugins.abilities`.
"""

from phybench.plugins.abilities import *  # noqa: F403  the alias of a whole module
from phybench.plugins.contracts import *  # noqa: F403
