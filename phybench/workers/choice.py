"""The executors by name."""

from __future__ import annotations

from pathlib import Path

from phybench.errors import ConfigError, UnknownNameError
from phybench.workers.executor import Executor

EXECUTORS = ("serial", "local", "ray")


def make_executor(name: str, clips: Path, workers: int | None = None) -> Executor:
    """Build an executor by name.

    Raises:
        ConfigError: If there is no such executor, ``workers`` is below 1, or is given to an
            executor that has none.
    """
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if workers is not None and workers < 1:
        raise ConfigError(f"Expected `workers` to be ≥ 1, but got {workers}.")
    if name == "local":
        from phybench.workers.local import LocalExecutor

        return LocalExecutor(clips, workers)
    if name == "ray":
        from phybench.workers.ray_actors import RayExecutor

        return RayExecutor(clips, workers)
    if workers is not None:
        raise ConfigError("Expected `workers` only with `local` or `ray`; `serial` has none.")
    from phybench.workers.serial import SerialExecutor

    return SerialExecutor(clips)
