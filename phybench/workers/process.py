"""One worker process, seen from the parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, StorageError
from phybench.machine.folders import default_folder
from phybench.plugins.contracts import PluginInfo, Scale, VideoSettings
from phybench.plugins.opened import Kind
from phybench.plugins.spec import PluginSpec
from phybench.units.codec import Value, from_json, unit_to_json
from phybench.units.unit import Unit


class WorkerDiedError(Exception):
    """The process ended with work in hand."""


class WorkerProcess:
    """A process that holds one plugin.

    Args:
        kind: The plugin's kind.
        spec: The plugin; its ``python`` names the interpreter.
        clips: The cache's clip folder.
        threads: Threads that its numeric libraries may use, unless the user's environment says;
            ``None`` for their own choice.

    Raises:
        ConfigError: If the interpreter cannot be started.
    """

    def __init__(
        self, kind: Kind, spec: PluginSpec, clips: Path, threads: int | None = None
    ) -> None:
        self._what = f"{kind} `{spec.name}`"
        self._python = spec.python or sys.executable
        try:
            self._process = subprocess.Popen(
                [self._python, "-m", "phybench.workers.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(self._python, threads),
            )
        except OSError as error:
            raise ConfigError(
                f"Cannot start {self._what} with {self._python!r}: {error}."
            ) from error
        self._send(
            {
                "kind": kind,
                "name": spec.name,
                "options": dict(spec.options),
                "clips": str(clips),
                "cache": str(default_folder()),
            }
        )
        self._info: PluginInfo | None = None

    @property
    def info(self) -> PluginInfo:
        """The plugin's description; waits for the worker to be ready.

        Raises:
            ConfigError: If the plugin refuses its options or the interpreter lacks phybench.
            WorkerDiedError: If something killed the process.
        """
        if self._info is None:
            try:
                message = self._receive()
            except WorkerDiedError as error:
                if self._process.wait() < 0:
                    raise
                raise ConfigError(
                    f"{self._what} did not start with {self._python!r}. Check that phybench and "
                    "the plugin's dependencies are installed there; its own words are above."
                ) from error
            if "config_error" in message:
                raise ConfigError(message["config_error"])
            self._info = _info(message["info"])
        return self._info

    def submit(self, units: Sequence[Unit]) -> None:
        """Send a batch; a worker that is dead already shows it in :meth:`results`."""
        self._send([unit_to_json(unit) for unit in units])

    def results(self) -> tuple[list[Value], float]:
        """Wait for the batch's results and the seconds they took.

        Raises:
            WorkerDiedError: If the process ended first.
            StorageError: If the worker could not store a clip.
        """
        message = self._receive()
        if "storage_error" in message:
            raise StorageError(message["storage_error"])
        return [from_json(result) for result in message["results"]], message["seconds"]

    def fileno(self) -> int:
        """The descriptor that becomes readable when results are there, for selectors."""
        assert self._process.stdout is not None  # noqa: S101  Popen was given PIPE
        return self._process.stdout.fileno()

    def exit_status(self) -> str:
        """How a dead process ended, for a failure's message."""
        status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.communicate()

    def _send(self, message: Mapping[str, Any] | Sequence[Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101  Popen was given PIPE
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101  Popen was given PIPE
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise WorkerDiedError
        message: dict[str, Any] = json.loads(line)
        return message


def _environment(python: str, threads: int | None) -> dict[str, str]:
    """The environment of a worker.

    A file of the working folder must not stand in for a module of Python's, and a worker of this
    interpreter runs the very phybench that its parent runs, be it installed or a checkout.
    """
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if threads is not None:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    if python == sys.executable:
        own = str(Path(__file__).parents[2])
        paths = [own, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def _info(data: Mapping[str, Any]) -> PluginInfo:
    video = VideoSettings(**data["video"]) if data["video"] else None
    return PluginInfo(**{**data, "video": video, "scale": Scale(**data["scale"])})
