"""The executor `ray`: real actors on a real cluster of this machine, its GPUs only declared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from tools.harness import (
    assert_only_the_deadly_prompt_failed,
    do_run,
    numbers,
    register,
    rows,
    run_config,
    write_prompts,
)

ray = pytest.importorskip("ray")

from phybench.errors import ConfigError, StorageError
from phybench.planning.plan import build_plan
from phybench.plugins.contracts import Clip, ClipRequest, Score
from phybench.plugins.opened import Kind
from phybench.plugins.spec import make_spec, parse_spec
from phybench.running.pipeline import StageCount
from phybench.running.runner import execute
from phybench.units.cache import Cache
from phybench.units.unit import Unit
from phybench.workers.choice import make_executor
from phybench.workers.opening import open_plugin
from phybench.workers.ray_actors import PluginActor, RayExecutor


@pytest.fixture
def cluster(deadly_judge: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster of two cores whose workers find the example plugins.

    ``stillborn`` is a judge that kills every process but this one when it is made, as a model that
    does not fit into memory would.
    """
    source = (
        "import os, signal\n"
        "from phybench_example import Brightness\n"
        "class Stillborn(Brightness):\n"
        "    def __init__(self) -> None:\n"
        f"        if os.getpid() != {os.getpid()}:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        super().__init__()\n"
    )
    entry_point = "[phybench.judges]\nstillborn = stillborn:Stillborn\n"
    register(deadly_judge, monkeypatch, "stillborn", source, entry_point)
    paths = {"PYTHONPATH": os.environ["PYTHONPATH"]}
    options = {"num_cpus": 2, "num_gpus": 1, "runtime_env": {"env_vars": paths}}
    ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False, **options)
    yield deadly_judge
    ray.shutdown()


@pytest.mark.slow
def test_actors_give_the_numbers_of_one_process_and_a_dying_one_costs_its_unit(
    cluster: Path,
) -> None:
    prompts = write_prompts(cluster, 12)
    reference = do_run(run_config(prompts), Path("reference"), Path("cache0"))
    outcome = do_run(run_config(prompts), Path("other"), Path("cache1"), "ray", 2)
    assert numbers(outcome) == numbers(reference)
    deadly = run_config(prompts, judges=("deadly",))
    assert_only_the_deadly_prompt_failed(
        do_run(deadly, Path("out"), Path("cache1"), "ray", 2), Path("out")
    )
    assert ray.is_initialized()  # a cluster that was there before stays
    _shares_of_gpus_must_fit(prompts)
    _rewards_come_from_actors(cluster)
    _actors_that_die_at_their_start_fail_the_work(prompts)


def _shares_of_gpus_must_fit(prompts: Path) -> None:
    fits = {"generators": ("bar:gpus=0.5",), "judges": ("brightness:gpus=0.25,workers=2",)}
    outcome = do_run(run_config(prompts, **fits), Path("fits"), Path("cache2"), "ray")
    assert {cell.counts["scored"] for cell in outcome.cells} == {24}
    too_many = {**fits, "judges": ("brightness:gpus=0.5,workers=2",)}
    with pytest.raises(ConfigError, match=r"has 1, but they take 1.5 .*`brightness` 2 × 0.5"):
        do_run(run_config(prompts, **too_many), Path("more"), Path("cache3"), "ray")
    assert Path("more/items.jsonl").read_bytes() == b""


def _actors_that_die_at_their_start_fail_the_work(prompts: Path) -> None:
    outcome = do_run(
        run_config(prompts, judges=("stillborn",)), Path("born"), Path("cache4"), "ray", 1
    )
    assert {cell.counts["failed"] for cell in outcome.cells} == {24}
    found = [*rows(Path("born/items.jsonl")), *rows(Path("born/scores.jsonl"))]
    assert {row["error"]["kind"] for row in found if "error" in row} == {"worker-died"}


def _rewards_come_from_actors(folder: Path) -> None:
    clip_scores = pytest.importorskip("phybench.training.stage2.clip_scores")
    parts = (
        open_plugin("generator", make_spec("bar", {})),
        [open_plugin("judge", make_spec("brightness", {}))],
    )
    make = partial(make_executor, "ray", workers=2)
    scores = clip_scores.ClipScores(*parts, folder / "rewards", make)
    samples = [
        clip_scores.Sample("a ball", ClipRequest(f"a ball {number}", number), (0,))
        for number in range(6)
    ]
    try:
        judged = [future.result(60) for future in scores.submit(samples)]
    finally:
        scores.close()
    assert all(isinstance(one.clip, Clip) for one in judged)
    assert all(isinstance(one.scores[0], Score) for one in judged)


@pytest.mark.extended
def test_a_lost_node_costs_what_its_actors_had_in_hand(deadly_judge: Path) -> None:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
    other = nodes.add_node(num_cpus=1, num_gpus=1)
    paths = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}}
    ray.init(nodes.address, logging_level="ERROR", log_to_driver=False, runtime_env=paths)
    prompts = write_prompts(deadly_judge, 40)
    arms = {"refiners": ("identity",), "judges": ("brightness",)}
    config = run_config(prompts, **arms, generators=("bar:gpus=1,workers=2",))
    lost = []

    def lose(counts: Mapping[Kind, StageCount]) -> None:
        if counts["judge"].done >= 8 and not lost:
            lost.append(other)
            nodes.remove_node(other, allow_graceful=False)

    try:
        with Cache(Path("cache")) as units:
            executor = make_executor("ray", units.folder / "clips", 2)
            plan = build_plan(config)
            execute(plan, Path("out"), cache=units, executor=executor, progress=lose, plots=False)
    finally:
        ray.shutdown()
        nodes.shutdown()
    items = rows(Path("out/items.jsonl"))
    failed = [item for item in items if item["status"] == "failed"]
    assert lost
    assert len(items) == 80
    assert len(failed) < 40
    assert {item["error"]["kind"] for item in failed} <= {"worker-died"}
    again = do_run(run_config(prompts, **arms, generators=("bar",)), Path("again"), Path("cache"))
    assert again.cells[0].counts["scored"] == 80


def test_an_actor_that_does_not_see_the_clips_says_so_before_any_work(tmp_path: Path) -> None:
    actor = PluginActor("refiner", parse_spec("identity"), tmp_path, "marker")
    answer = actor.prepare()
    assert isinstance(answer, ConfigError)
    assert str(tmp_path) in str(answer)
    (tmp_path / "marker").touch()
    assert actor.prepare() is None
    results, seconds = actor.perform([Unit("key", "refine", "a ball falls", 0)])
    assert (results[0].text, seconds >= 0) == ("a ball falls", True)


def _clip(key: str, seed: int) -> Unit:
    return Unit(key, "generate", ClipRequest("a ball falls", seed))


def test_errors_that_end_a_run_come_back_as_values(examples: Path) -> None:
    (examples / "marker").touch()
    unknown = PluginActor("judge", parse_spec("kinematik"), examples, "marker")
    answer = unknown.prepare()
    assert isinstance(answer, ConfigError)
    assert "Did you mean `kinematic`" in str(answer)
    clips = examples / "clips"
    clips.mkdir()
    (clips / "marker").touch()
    actor = PluginActor("generator", parse_spec("tabletop"), clips, "marker")
    assert actor.prepare() is None
    assert isinstance(actor.perform([_clip("key1", 0)]), tuple)
    shutil.rmtree(clips)
    clips.touch()
    answer = actor.perform([_clip("key2", 1)])
    assert isinstance(answer, StorageError)
    assert str(clips) in str(answer)


def test_only_ray_hands_out_gpus(examples: Path) -> None:
    config = run_config(write_prompts(examples, 2), judges=("brightness:gpus=0.5",))
    for executor in ("serial", "local"):
        with pytest.raises(ConfigError, match="`gpus` of `brightness` only with the executor"):
            do_run(config, Path(executor), Path("cache"), executor)


def test_no_cluster_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"127.0.0.1:9"):
        RayExecutor(tmp_path)
