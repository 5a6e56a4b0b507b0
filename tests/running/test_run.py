from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tools.harness import (
    ARMS,
    by_item,
    do_run,
    numbers,
    register,
    rows,
    run_config,
    write_prompts,
)

from phybench import ConfigError
from phybench.planning.estimate import estimate
from phybench.planning.plan import build_plan
from phybench.prompts.seeds import item_seed
from phybench.publish.leaderboard import COLUMNS
from phybench.runs.cells import load_run
from phybench.units.cache import Cache


def test_a_run_publishes_everything_the_design_names(examples: Path) -> None:
    outcome = do_run(run_config(write_prompts(examples, 6)), Path("out"), Path("cache"), plots=True)
    assert len(outcome.cells) == 2
    names = {path.name for path in Path("out").iterdir()}
    assert {
        "run.json",
        "items.jsonl",
        "scores.jsonl",
        "results.json",
        "leaderboard.csv",
        "leaderboard.md",
        "plots",
    } <= names
    assert {path.name for path in Path("out/plots").iterdir()} == {
        "brightness-heatmap.png",
        "brightness-scatter.png",
        "brightness-difference.png",
    }
    with Path("out/leaderboard.csv").open() as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert {row["n_planned"] for row in table} == {"12"}
    header = json.loads(Path("out/run.json").read_text())
    assert header["status"] == "done"
    assert header["environment"]["packages"]["numpy"]
    assert header["signatures"]["identity|bar|brightness"] == outcome.cells[0].signature
    assert "simulated" in outcome.cells[0].signature


def test_the_leaderboard_follows_from_the_rows(examples: Path) -> None:
    """SA is 1 + len(prompt) % 5, so SA >= 4 exactly where len % 5 is 3 or 4; PC from brightness."""
    outcome = do_run(run_config(write_prompts(examples, 20)), Path("out"), Path("cache"))
    scores = rows(Path("out/scores.jsonl"))
    for cell in outcome.cells:
        own = [row for row in scores if row["refiner"] == cell.refiner]
        assert cell.counts == {"planned": 40, "scored": 40, "unscored": 0, "failed": 0}
        expected = sum(len(row["prompt"]) % 5 >= 3 for row in own) / len(own)
        assert cell.rates["sa"].rate == pytest.approx(expected)
        assert cell.rates["joint"].rate == pytest.approx(
            sum(row["sa"] >= 4 and row["pc"] >= 4 for row in own) / len(own)
        )
        assert cell.sa_mean == pytest.approx(sum(row["sa"] for row in own) / len(own))


def test_a_run_says_what_its_refiners_did(examples: Path) -> None:
    Path("prompts.txt").write_text("two red balls fall\na cup\n")
    Path("same.csv").write_text("prompt,refined\ntwo red balls fall,a cup\na cup,a cup\n")
    config = run_config(
        Path("prompts.txt"), refiners=("identity", "replay:file=same.csv,as=same"), seeds=1
    )
    do_run(config, Path("out"), Path("cache"))
    found = json.loads(Path("out/results.json").read_text())["refinements"]
    assert set(found) == {"identity|bar", "same|bar"}
    assert (found["identity|bar"]["n"], found["identity|bar"]["growth_mean"]) == (2, 1.0)
    assert (found["identity|bar"]["duplicates"], found["same|bar"]["duplicates"]) == (0, 2)


def test_arms_share_their_seeds(examples: Path) -> None:
    do_run(run_config(write_prompts(examples, 4)), Path("out"), Path("cache"))
    seeds: dict[tuple[str, int], set[int]] = {}
    for row in rows(Path("out/items.jsonl")):
        seeds.setdefault((row["prompt_id"], row["k"]), set()).add(row["seed"])
        assert row["seed"] == item_seed(0, row["prompt_id"], row["k"])
    assert all(len(found) == 1 for found in seeds.values())
    assert len({next(iter(found)) for found in seeds.values()}) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "workers", "batch"),
    [("serial", None, ""), ("local", 1, ""), ("local", 3, ""), ("serial", None, "reversed")],
)
def test_how_it_is_computed_changes_no_number(
    examples: Path, executor: str, workers: int | None, batch: str
) -> None:
    prompts = write_prompts(examples, 9)
    reference = do_run(run_config(prompts), Path("reference"), Path("cache0"))
    changes = {name: value[::-1] for name, value in ARMS.items()} if batch else {}
    other = do_run(run_config(prompts, **changes), Path("other"), Path("c1"), executor, workers)
    assert sorted(map(str, numbers(other))) == sorted(map(str, numbers(reference)))


def test_batch_size_changes_no_number(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import phybench_example

    prompts = write_prompts(examples, 7)
    reference = do_run(run_config(prompts), Path("reference"), Path("cache0"))
    for plugin in ("Shout", "Bar", "Brightness"):
        make = getattr(phybench_example, plugin)

        def unbatched(make=make):
            made = make()
            made.info = replace(made.info, max_batch=1)
            return made

        monkeypatch.setattr(phybench_example, plugin, unbatched)
    assert numbers(do_run(run_config(prompts), Path("other"), Path("c1"))) == numbers(reference)


def test_the_same_command_again_does_nothing_again(examples: Path) -> None:
    config = run_config(write_prompts(examples, 5))
    first = do_run(config, Path("out"), Path("cache"))
    files = {path: path.read_bytes() for path in Path("out").rglob("*.jsonl")}
    again = do_run(config, Path("out"), Path("cache"))
    assert numbers(again) == numbers(first)
    assert again.counts["refiner"].total == 0
    assert {path: path.read_bytes() for path in Path("out").rglob("*.jsonl")} == files


def test_another_run_finds_finished_work_in_the_cache(examples: Path) -> None:
    prompts = write_prompts(examples, 5)
    do_run(run_config(prompts), Path("one"), Path("cache"))
    wider = do_run(run_config(prompts, seeds=3), Path("two"), Path("cache"))
    assert wider.counts["generator"].cached == 20
    assert wider.counts["generator"].done == 30


def test_equal_units_are_done_once(examples: Path) -> None:
    """Two arms whose texts are equal share every clip and score."""
    Path("same.csv").write_text("prompt,refined\na ball,a ball\na cube,a cube\n")
    Path("prompts.txt").write_text("a ball\na cube\n")
    config = run_config(Path("prompts.txt"), refiners=("identity", "replay:file=same.csv"), seeds=1)
    do_run(config, Path("out"), Path("cache"))
    assert len(list(Path("cache/clips").rglob("*.mp4"))) == 2
    assert len(rows(Path("out/items.jsonl"))) == 4


def test_a_failed_clip_is_a_failure_in_every_table(examples: Path) -> None:
    Path("prompts.txt").write_text("a forbidden ball\na ball rolls\n")
    outcome = do_run(run_config(Path("prompts.txt")), Path("out"), Path("cache"))
    for cell in outcome.cells:
        assert cell.counts == {"planned": 4, "scored": 2, "unscored": 0, "failed": 2}
        rate = cell.rates["sa"]
        assert rate.worst == pytest.approx(rate.rate / 2)
        assert rate.best == pytest.approx(rate.rate / 2 + 0.5)
    failed = [row for row in rows(Path("out/items.jsonl")) if row["status"] == "failed"]
    assert {row["error"]["kind"] for row in failed} == {"refusal"}
    assert outcome.failures == 4
    again = do_run(run_config(Path("prompts.txt")), Path("out"), Path("cache"))
    assert again.counts["refiner"].total == 0, "a refusal is final and is not tried again"


def test_an_exception_fails_its_input_only(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import phybench_example

    score = phybench_example.Brightness._score

    def broken(self, request):
        if "number 3" in request.prompt:
            raise ZeroDivisionError("no luck")
        return score(self, request)

    monkeypatch.setattr(phybench_example.Brightness, "_score", broken)
    config = run_config(write_prompts(examples, 6))
    outcome = do_run(config, Path("out"), Path("cache"))
    assert [cell.counts["failed"] for cell in outcome.cells] == [2, 2]
    failed = [row for row in rows(Path("out/scores.jsonl")) if row["status"] == "failed"]
    assert all("ZeroDivisionError: no luck" in row["error"]["message"] for row in failed)
    monkeypatch.setattr(phybench_example.Brightness, "_score", score)
    mended = do_run(config, Path("out"), Path("cache"))
    assert mended.failures == 0, "an exception may pass: the same command tries again"
    assert mended.counts["generator"].cached == 4


def test_a_score_outside_the_scale_is_a_failure(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import phybench_example

    from phybench import Score

    monkeypatch.setattr(
        phybench_example.Brightness, "_score", lambda self, request: Score(0.0, 3.0, "0 of 5")
    )
    outcome = do_run(run_config(write_prompts(examples, 2)), Path("out"), Path("cache"))
    assert [cell.counts["failed"] for cell in outcome.cells] == [4, 4]
    assert rows(Path("out/scores.jsonl"))[0]["error"]["reply"] == "0 of 5"
    assert outcome.cells[0].rates["sa"].rate != 0.0


@pytest.mark.parametrize("result", ["None", "[]", "['x'] * 2", "[Refinement(' ')]"])
def test_a_refiner_that_breaks_its_contract_is_a_failure(
    examples: Path, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    import phybench_example

    from phybench import Refinement

    value = eval(result, {"Refinement": Refinement})
    monkeypatch.setattr(phybench_example.Shout, "refine", lambda self, prompts, seeds: value)
    Path("prompts.txt").write_text("a ball\n")
    config = run_config(Path("prompts.txt"), refiners=("identity", "shout"))
    outcome = do_run(replace(config, seeds=1), Path("out"), Path("cache"))
    assert [cell.counts["failed"] for cell in outcome.cells] == [0, 1]


def test_a_folder_of_another_run_is_refused(examples: Path) -> None:
    prompts = write_prompts(examples, 2)
    do_run(run_config(prompts), Path("out"), Path("cache"))
    before = Path("out/run.json").read_bytes()
    with pytest.raises(ConfigError, match="other `seed`"):
        do_run(run_config(prompts, seed=1), Path("out"), Path("cache"))
    assert Path("out/run.json").read_bytes() == before


def test_two_arms_of_one_name_are_refused(examples: Path) -> None:
    prompts = write_prompts(examples, 2)
    with pytest.raises(ConfigError, match="two are `shout`"):
        do_run(run_config(prompts, refiners=("shout", "shout:marks=2")), Path("out"), Path("cache"))
    named = run_config(prompts, refiners=("shout", "shout:marks=2,as=louder"))
    outcome = do_run(named, Path("out"), Path("cache"))
    assert [cell.refiner for cell in outcome.cells] == ["shout", "louder"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": 0}, "`seeds` to be in 1..1000, but got 0"),
        ({"limit": 0}, "`limit` to be ≥ 1, but got 0"),
        ({"seed": -1}, "`seed` to be ≥ 0, but got -1"),
        ({"judges": ()}, "at least one of `judges`"),
    ],
)
def test_values_out_of_range_are_named(examples: Path, change: dict, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_config(write_prompts(examples, 2), **change)
    assert words in str(error.value)


def test_several_judges_score_the_same_clips(examples: Path) -> None:
    prompts = write_prompts(examples, 3)
    judges = ("brightness", "brightness:as=second")
    outcome = do_run(run_config(prompts, judges=judges), Path("out"), Path("cache"))
    assert [cell.judge for cell in outcome.cells] == ["brightness"] * 2 + ["second"] * 2
    scores = by_item(rows(Path("out/scores.jsonl")))
    for (index, judge), row in scores.items():
        if judge == "brightness":
            twin = scores[index, "second"]
            assert (row["sa"], row["pc"], row["clip"]) == (twin["sa"], twin["pc"], twin["clip"])


def test_a_run_reads_back_as_arrays(examples: Path) -> None:
    do_run(run_config(write_prompts(examples, 3)), Path("out"), Path("cache"))
    run = load_run(Path("out"))
    cell = run.cells["shout", "bar", "brightness"]
    assert cell.sa.shape == (3, 2)
    scores = by_item(rows(Path("out/scores.jsonl")))
    # index = ((prompt * seeds + k) * refiners + refiner) * generators + generator
    assert cell.pc[2, 1] == scores[(2 * 2 + 1) * 2 + 1, "brightness"]["pc"]


def test_a_plan_says_what_units_with_a_price_will_cost(examples: Path) -> None:
    plan = build_plan(run_config(write_prompts(examples, 3)))
    (bar,) = plan.generators
    priced = replace(plan, generators=(replace(bar, info=replace(bar.info, usd_per_unit=0.25)),))
    with Cache(Path("cache")) as cache:
        found = estimate(priced, cache)
    costs = {stage.name: stage.usd for stage in found.stages}
    assert costs == {"identity": None, "shout": None, "bar": 3.0, "brightness": None}
    assert "bar: 12 to do (0 cached), time unknown, about 3.00 USD" in found.to_text()


@pytest.mark.slow
def test_workers_of_a_pool_share_the_cores(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refiner that says how many threads its process may use."""
    source = (
        "import os\n"
        "from phybench import Refinement\n"
        "from phybench_example import Shout\n"
        "class Counting(Shout):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        object.__setattr__(self.info, 'free', False)\n"
        "    def refine(self, prompts, seeds):\n"
        "        return [Refinement(os.environ['OMP_NUM_THREADS']) for _ in prompts]\n"
    )
    entry_point = "[phybench.refiners]\ncounting = counting:Counting\n"
    register(examples, monkeypatch, "counting", source, entry_point)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    prompts = write_prompts(examples, 2)

    def threads(workers: int, out: str) -> set[str]:
        config = run_config(prompts, refiners=("counting",))
        do_run(config, Path(out), Path(f"cache-{out}"), "local", workers)
        return {row["refinement"]["text"] for row in rows(Path(out) / "items.jsonl")}

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads(2, "two") == {"4"}
    assert threads(9, "nine") == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads(2, "mine") == {"5"}
