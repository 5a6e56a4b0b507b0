"""No worker outlives the run that started it, whenever the run is interrupted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from phybench.plugins.contracts import ClipRequest
from phybench.plugins.spec import parse_spec
from phybench.units.unit import Unit
from phybench.workers.local import LocalExecutor
from phybench.workers.opening import open_plugin
from phybench.workers.process import WorkerProcess


@pytest.mark.parametrize("moment", ["submit", "results"])
def test_a_worker_in_neither_list_is_stopped_too(
    moment: str, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[WorkerProcess] = []
    start = WorkerProcess.__init__

    def watched(worker: WorkerProcess, *arguments: object) -> None:
        start(worker, *arguments)  # type: ignore[arg-type]
        started.append(worker)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "__init__", watched)
    monkeypatch.setattr(WorkerProcess, moment, interrupted)
    executor = LocalExecutor(examples / "clips", workers=1)
    lane = executor.open(open_plugin("generator", parse_spec("tabletop")))
    with pytest.raises(KeyboardInterrupt):
        work(executor, lane)
    executor.close()
    assert started
    try:
        assert [worker._process.wait(timeout=5) for worker in started] == [-signal.SIGKILL]
    finally:
        for worker in started:
            worker.close()


def work(executor: LocalExecutor, lane: int) -> None:
    executor.submit(lane, [Unit("key", "generate", ClipRequest("a red ball falls", 1))])
    executor.wait()
