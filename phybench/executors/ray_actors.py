"""Pools of Ray actors per plugin, on this machine or a cluster, with shares of GPUs.

A cluster that ``RAY_ADDRESS`` names, or that runs on this machine already, is used; otherwise one
is started here and stopped at the end. The cache folder must lie on a file system that all its
nodes see: clips travel as files, and an actor that does not see them says so before any work.
"""

from __future__ import annotations

import math
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phybench.codec import Value
from phybench.contracts import Closing
from phybench.errors import ConfigError, MissingExtraError, PhybenchError, StorageError
from phybench.executors.base import Done
from phybench.executors.inline import InlineCalls
from phybench.registry import Kind, Opened, open_plugin
from phybench.spec import PluginSpec
from phybench.work import Request, timed

_CONNECT_S = 5.0
"""Longest wait for the head of a cluster to accept a connection."""


class PluginActor:
    """What runs in an actor: one plugin, made when its first batch comes.

    Args:
        kind: The plugin's kind.
        spec: The plugin; its ``python`` names the interpreter on the actor's node.
        clips: The cache's clip folder.
        marker: A file in it that the driver wrote, to tell a shared folder from one of that name.
    """

    def __init__(self, kind: Kind, spec: PluginSpec, clips: Path, marker: str) -> None:
        self._kind, self._spec, self._clips, self._marker = kind, spec, clips, marker
        self._plugin: Any = None

    def perform(self, requests: Sequence[Request]) -> tuple[list[Value], float] | PhybenchError:
        """Do a batch; an error that ends the run comes back as a value."""
        try:
            if self._plugin is None:
                self._plugin = self._made()
            return timed(self._kind, self._plugin, requests, self._clips)
        except (ConfigError, StorageError) as error:
            # Not the error itself: some have constructors that unpickling cannot call.
            return (StorageError if isinstance(error, StorageError) else ConfigError)(str(error))

    def _made(self) -> Any:
        if not (self._clips / self._marker).is_file():
            raise ConfigError(
                f"Expected all nodes of the Ray cluster to see {str(self._clips)!r}, but "
                f"{os.uname().nodename} does not. Name a shared cache folder with --cache."
            )
        return open_plugin(self._kind, self._spec).plugin


@dataclass(slots=True)
class _Lane:
    number: int
    opened: Opened
    workers: int
    gpus: float
    started: int = 0
    idle: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    lane: _Lane
    actor: Any
    requests: Sequence[Request]


class RayExecutor:
    """Actors of a Ray cluster.

    An actor of a plugin that needs a GPU takes the share that the SPEC's ``gpus`` names, else a
    whole one. Ray admits actors by these shares; that a share's memory suffices is the user's
    promise. Actors of other plugins are spread over the nodes.

    Args:
        clips: The cache's clip folder.
        workers: Actors per plugin where its SPEC names no number; a plugin that needs a GPU gets
            one. Default: one per CPU core of the cluster.

    Raises:
        MissingExtraError: If Ray is not installed.
        ConfigError: If there is no cluster at the address that ``RAY_ADDRESS`` names.
    """

    def __init__(self, clips: Path, workers: int | None = None) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError("The executor `ray`", "ray", "ray") from error
        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            _connect(ray)
        self._clips = clips.resolve()
        self._workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._lanes: list[_Lane] = []
        self._inline = InlineCalls(self._clips)
        self._actors: list[Any] = []
        self._flight: dict[Any, _Batch] = {}
        self._marker = f".ray-{uuid.uuid4().hex}"

    def open(self, opened: Opened) -> int:
        """Make a lane for a plugin; its actors start when they are first needed.

        Raises:
            ConfigError: If the GPU shares of all plugins together exceed the cluster.
        """
        self._clips.mkdir(parents=True, exist_ok=True)
        (self._clips / self._marker).touch()
        spec = opened.spec
        gpus = spec.gpus if spec.gpus is not None else float(bool(opened.info.gpu_gib))
        workers = 0 if opened.info.free else spec.workers or (1 if gpus else self._workers)
        self._lanes.append(_Lane(len(self._lanes), opened, workers, gpus))
        self._check_gpus()
        return len(self._lanes) - 1

    def free(self, lane: int) -> int:
        """Actors of the lane that have nothing to do."""
        this = self._lanes[lane]
        return len(this.idle) + this.workers - this.started if this.workers else 1

    def submit(self, lane: int, requests: Sequence[Request]) -> None:
        """Hand the batch to an idle actor, or start one."""
        this = self._lanes[lane]
        if not this.workers:
            self._inline.perform(lane, this.opened, requests)
            return
        actor = this.idle.pop() if this.idle else self._started(this)
        batch = _Batch(this, actor, requests)
        self._flight[actor.perform.remote(list(requests))] = batch

    def wait(self) -> Sequence[Done]:
        """Wait for the next results of any actor.

        Raises:
            ConfigError: If a plugin cannot be made where its actor runs.
            StorageError: If an actor could not store a clip.
        """
        if done := self._inline.take():
            return done
        references = list(self._flight)
        self._ray.wait(references, num_returns=1)
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [self._finish(reference) for reference in ready]

    def close(self) -> None:
        """End all actors, and the cluster if it was started for this."""
        for actor in self._actors:
            self._ray.kill(actor)
        for lane in self._lanes:
            if isinstance(lane.opened.plugin, Closing):
                lane.opened.plugin.close()
        (self._clips / self._marker).unlink(missing_ok=True)
        if self._own:
            self._ray.shutdown()

    def _started(self, lane: _Lane) -> Any:
        remote = self._ray.remote(PluginActor)
        # No CPU is taken, so that idle actors of one plugin never keep out those of another.
        options = {"num_cpus": 0, "num_gpus": lane.gpus, "scheduling_strategy": "SPREAD"}
        opened = lane.opened
        actor = remote.options(**options).remote(
            opened.kind, opened.spec, self._clips, self._marker
        )
        self._actors.append(actor)
        lane.started += 1
        return actor

    def _finish(self, reference: Any) -> Done:
        from ray.exceptions import RayActorError

        batch = self._flight.pop(reference)
        lane = batch.lane
        try:
            answer = self._ray.get(reference)
        except RayActorError:
            lane.started -= 1
            return Done(lane.number, batch.requests, None)
        if isinstance(answer, PhybenchError):
            raise answer
        lane.idle.append(batch.actor)
        results, seconds = answer
        return Done(lane.number, batch.requests, results, seconds)

    def _check_gpus(self) -> None:
        there = self._ray.cluster_resources().get("GPU", 0.0)
        wanted = math.fsum(lane.workers * lane.gpus for lane in self._lanes)
        if wanted > there:
            shares = ", ".join(
                f"`{lane.opened.spec.name}` {lane.workers} × {lane.gpus:g}"
                for lane in self._lanes
                if lane.workers and lane.gpus
            )
            raise ConfigError(
                f"Expected the plugins' shares of GPUs to fit the cluster, which has {there:g}, "
                f"but they take {wanted:g} ({shares}). Give smaller ones, for example "
                "NAME:gpus=0.5,workers=1."
            )


def _connect(ray: Any) -> None:
    """Join the cluster that there is, or start one for this process."""
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.rpartition("//")[2].partition(":")
    if port.isdecimal():
        # Ray itself would try for minutes.
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
        except OSError as error:
            raise ConfigError(
                f"Cannot reach a Ray cluster at RAY_ADDRESS = {address!r}: {error}. Unset it to "
                "start one here."
            ) from error
    ray.init(include_dashboard=False, logging_level="ERROR")
