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
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError, MissingExtraError, PhybenchError, StorageError
from phybench.machine.folders import cache_folder
from phybench.plugins.abilities import Closing
from phybench.plugins.opened import Kind, Opened
from phybench.plugins.spec import PluginSpec
from phybench.units.codec import Value
from phybench.units.perform import timed
from phybench.units.unit import Unit
from phybench.workers.executor import Done, refuse_pool
from phybench.workers.inline import InlineCalls
from phybench.workers.opening import open_plugin

_CONNECT_S = 5.0
"""Longest wait for the head of a cluster to accept a connection."""
_STARTS = 3
"""Actors in a row that die before they can work until the work itself is given up."""


class PluginActor:
    """What runs in an actor: one plugin.

    Args:
        kind: The plugin's kind.
        spec: The plugin; its ``python`` names the interpreter on the actor's node.
        clips: The cache's clip folder.
        marker: A file in it that the driver wrote, to tell a shared folder from one of that name.
    """

    def __init__(self, kind: Kind, spec: PluginSpec, clips: Path, marker: str) -> None:
        self._kind, self._spec, self._clips, self._marker = kind, spec, clips, marker
        self._plugin: Any = None

    def prepare(self) -> PhybenchError | None:
        """Make the plugin; an error that ends the run comes back as a value."""
        try:
            self._plugin = self._made()
        except ConfigError as error:
            # Not the error itself: some have constructors that unpickling cannot call.
            return ConfigError(str(error))
        return None

    def perform(self, units: Sequence[Unit]) -> tuple[list[Value], float] | PhybenchError:
        """Do a batch, after :meth:`prepare`; otherwise as there."""
        try:
            with cache_folder(self._clips.parent):
                return timed(self._kind, self._plugin, units, self._clips)
        except StorageError as error:
            return StorageError(str(error))

    def _made(self) -> Any:
        if not (self._clips / self._marker).is_file():
            raise ConfigError(
                f"Expected all nodes of the Ray cluster to see {str(self._clips)!r}, but "
                f"{os.uname().nodename} does not. Name a shared cache folder with --cache."
            )
        with cache_folder(self._clips.parent):
            return open_plugin(self._kind, self._spec).plugin


@dataclass(slots=True)
class _Lane:
    """A plugin's actors and work.

    Args:
        number: Its index.
        opened: The plugin.
        workers: Most actors.
        gpus: What each takes of a GPU.
        actors: How many are starting, idle or at work.
        stillborn: How many in a row died before they could work.
        idle: Those that have nothing to do.
        backlog: Batches that wait for one.
        taken: Batches that were submitted and are not done.
    """

    number: int
    opened: Opened
    workers: int
    gpus: float
    actors: int = 0
    stillborn: int = 0
    idle: list[Any] = field(default_factory=list)
    backlog: deque[Sequence[Unit]] = field(default_factory=deque)
    taken: int = 0


@dataclass(slots=True)
class _Call:
    """What an actor is doing; ``units`` is ``None`` while it starts."""

    lane: _Lane
    actor: Any
    units: Sequence[Unit] | None


class RayExecutor:
    """Actors of a Ray cluster.

    An actor of a plugin that needs a GPU takes the share that the SPEC's ``gpus`` names, else a
    whole one. Ray admits actors by these shares; that a share's memory suffices is the user's
    promise. Actors of other plugins are spread over the nodes. A batch goes to an actor only when
    its plugin is ready there, so that a lost node costs what its actors had in hand and no more:
    the others go on, and where all are lost the work waits for a node with room.

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
        self._calls: dict[Any, _Call] = {}
        self._marker = f".ray-{uuid.uuid4().hex}"

    def open(self, opened: Opened) -> int:
        """Make a lane for a plugin; its actors start when they are first needed.

        Raises:
            ConfigError: If the GPU shares of all plugins together exceed the cluster, or a free
                plugin is to have a pool.
        """
        if opened.stays_here:
            refuse_pool(opened)
        self._clips.mkdir(parents=True, exist_ok=True)
        (self._clips / self._marker).touch()
        spec = opened.spec
        gpus = spec.gpus if spec.gpus is not None else float(bool(opened.info.gpu_gib))
        workers = 0 if opened.stays_here else spec.workers or (1 if gpus else self._workers)
        self._lanes.append(_Lane(len(self._lanes), opened, workers, gpus))
        self._check_gpus()
        return len(self._lanes) - 1

    def free(self, lane: int) -> int:
        """How many more batches the lane's actors, started or not, could have in hand."""
        this = self._lanes[lane]
        return this.workers - this.taken if this.workers else 1

    def submit(self, lane: int, units: Sequence[Unit]) -> None:
        """Hand the batch to an idle actor, or to the next that is."""
        this = self._lanes[lane]
        if not this.workers:
            self._inline.perform(lane, this.opened, units)
            return
        this.taken += 1
        this.backlog.append(units)
        self._feed(this)

    def wait(self) -> Sequence[Done]:
        """Wait for the next results of any actor.

        Raises:
            ConfigError: If a plugin cannot be made where its actor runs.
            StorageError: If an actor could not store a clip.
        """
        done: list[Done] = self._inline.take()
        while not done and not (done := self._given_up()):
            references = list(self._calls)
            self._ray.wait(references, num_returns=1)
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
            for reference in ready:
                call = self._calls.pop(reference)
                done += self._finish(call, reference)
                self._feed(call.lane)
        return done

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

    def _feed(self, lane: _Lane) -> None:
        """Give waiting batches to idle actors, and start actors for the rest."""
        while lane.backlog and lane.idle:
            actor, units = lane.idle.pop(), lane.backlog.popleft()
            self._calls[actor.perform.remote(list(units))] = _Call(lane, actor, units)
        starting = sum(one.lane is lane and one.units is None for one in self._calls.values())
        for _ in range(len(lane.backlog) - starting):
            if lane.actors >= lane.workers or not self._has_room(lane):
                return
            self._start(lane)

    def _has_room(self, lane: _Lane) -> bool:
        """Whether an actor more would be placed and live; the first waits for its place."""
        if lane.stillborn >= _STARTS:
            return False
        if not lane.actors or not lane.gpus:
            return True
        return bool(self._ray.available_resources().get("GPU", 0.0) >= lane.gpus)

    def _start(self, lane: _Lane) -> None:
        remote = self._ray.remote(PluginActor)
        # No CPU is taken, so that idle actors of one plugin never keep out those of another.
        options = {"num_cpus": 0, "num_gpus": lane.gpus, "scheduling_strategy": "SPREAD"}
        opened = lane.opened
        actor = remote.options(**options).remote(
            opened.kind, opened.spec, self._clips, self._marker
        )
        self._actors.append(actor)
        lane.actors += 1
        self._calls[actor.prepare.remote()] = _Call(lane, actor, None)

    def _finish(self, call: _Call, reference: Any) -> list[Done]:
        """What a call that has ended brings."""
        from ray.exceptions import RayActorError

        lane = call.lane
        try:
            answer = self._ray.get(reference)
        except RayActorError:
            self._ray.kill(call.actor)  # it may only be out of reach, with its share of a GPU
            lane.actors -= 1
            if call.units is not None:
                return [self._done(lane, call.units, None)]
            lane.stillborn += 1
            return []
        if isinstance(answer, PhybenchError):
            raise answer
        lane.idle.append(call.actor)
        if call.units is None:
            lane.stillborn = 0
            return []
        return [self._done(lane, call.units, *answer)]

    def _given_up(self) -> list[Done]:
        """What waits for actors that keep dying before they can work."""
        given_up = []
        for lane in self._lanes:
            while lane.backlog and lane.stillborn >= _STARTS and not lane.actors:
                given_up.append(self._done(lane, lane.backlog.popleft(), None))
        return given_up

    def _done(
        self,
        lane: _Lane,
        units: Sequence[Unit],
        results: Sequence[Value] | None,
        seconds: float = 0.0,
    ) -> Done:
        lane.taken -= 1
        return Done(lane.number, units, results, seconds)

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
