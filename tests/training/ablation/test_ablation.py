"""The ablation: laid out fairly, continued wherever it broke off, and honest in its words."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from phybench.cli.train import app
from phybench.errors import ConfigError
from phybench.machine.files import read_json
from phybench.plugins.contracts import LIKERT
from phybench.runs.cells import Cell, Run, Status
from phybench.training.ablation.ablation import (
    VARIANTS,
    evaluated_arms,
    plan_ablation,
    run_ablation,
)
from phybench.training.ablation.plots import curves
from phybench.training.ablation.report import ablation_markdown, conclusions
from phybench.training.ablation.table import difference_rows, differences, outcomes, rows
from phybench.training.recipe.recipe import load_recipe
from phybench.training.setup import claim


def plan(folder, *changes, **options):
    return plan_ablation("phyprompt-mini", changes, folder, **options)


def test_all_variants_share_start_prompts_seeds_and_budget(tmp_path):
    found = plan(tmp_path)
    assert len(found.trainings) == 5 * 3
    assert found.prompts == "tabletop-test"
    for number in range(3):
        recipes = {one.variant: one.recipe for one in found.trainings if one.number == number}
        assert {one.start for one in recipes.values()} == {found.recipe.start}
        assert {one.seed for one in recipes.values()} == {number}
        schedules = {name: one.reward.schedule for name, one in recipes.items()}
        assert schedules == {
            "dynamic": "exponential",
            "static": "static",
            "sa-only": "sa-only",
            "pc-only": "pc-only",
            "no-sft": "exponential",
        }
        # But for what makes the variant and where it is written, the recipes are the same.
        same = {
            one.model_copy(
                update={
                    "output": "",
                    "reward": one.reward.model_copy(update={"schedule": "static"}),
                    "grpo": one.grpo.model_copy(update={"begin": "sft"}),
                }
            ).model_dump_json()
            for one in recipes.values()
        }
        assert len(same) == 1
        assert not any(one.grpo.stop_on_hacking for one in recipes.values())
    assert len({one.recipe.final for one in found.trainings}) == 15


def test_checkpoints_rewrite_as_the_recipe_says_and_that_decides_no_training(tmp_path):
    found = plan(tmp_path, "evaluation.batch=5")
    (refiner,) = evaluated_arms(found)["static-1"]
    assert refiner.options["temperature"] == 0  # the mini's
    assert refiner.options["batch"] == 5
    recipe = load_recipe("phyprompt-mini", [f"output={tmp_path}"])
    other = load_recipe("phyprompt-mini", [f"output={tmp_path}", "evaluation.batch=9"])
    assert claim(tmp_path, "grpo", recipe) == claim(tmp_path, "grpo", other)


def test_the_listed_command_is_the_training(tmp_path):
    import shlex

    one = plan(tmp_path / "it's", "grpo.steps=7").of("no-sft")[1]
    words = shlex.split(one.command)
    assert words[:4] == ["phybench", "train", "grpo", "phyprompt-mini"]
    assert load_recipe("phyprompt-mini", words[5::2]) == one.recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": ["static"]}, "`dynamic` among the variants"),
        ({"variants": ["dynamic", "statik"]}, "`static`"),
        ({"training_seeds": 0}, "`--training-seeds` to be ≥ 1"),
    ],
)
def test_what_cannot_be_ablated_is_named(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path, **options)


def test_a_recipe_without_a_curriculum_or_a_test_set_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no curriculum"):
        plan(tmp_path, "reward.schedule=static")
    with pytest.raises(ConfigError, match="Expected a test set"):
        plan(tmp_path, "data.decontaminate=[]")
    assert plan(tmp_path, "data.decontaminate=[]", prompts="mine.txt").prompts == "mine.txt"


PROMPTS, REPEATS = 60, 2


def made_run(ablation, chances, failed=()):
    """A run whose arms succeed with given chances: per prompt one draw of how hard it is."""
    rng = np.random.default_rng(0)
    hard = rng.uniform(-0.1, 0.1, (PROMPTS, 1))
    shape = (PROMPTS, REPEATS)
    cells = {}
    for judge in ("kinematic", "oracle"):
        for arm, chance in chances.items():
            passed = rng.uniform(size=shape) < chance + hard
            status = np.full(shape, Status.FAILED if arm in failed else Status.SCORED, np.uint8)
            score = np.where(status == Status.SCORED, np.where(passed, 5.0, 2.0), np.nan)
            adherence = np.where(np.isnan(score), np.nan, 5.0)
            name = (arm, "tabletop", judge)
            cells[name] = Cell(*name, LIKERT, status, adherence, score)
    header = {
        "simulated": True,
        "plugins": {"judge": [{"name": "kinematic"}, {"name": "oracle"}]},
        "prompts": {"name": "made", "sha256": "0" * 64, "ids": list(map(str, range(PROMPTS)))},
        "signatures": {"a": "joint|made"},
    }
    return Run(ablation.folder, header, tuple(map(str, range(PROMPTS))), cells)


def arms(ablation, **chances):
    """Chances by arm: a list gives each training its own."""
    found = {"identity": 0.3, "template": 0.4}
    for name, chance in chances.items():
        variant = name.replace("_", "-")
        if isinstance(chance, list):
            found |= {f"{variant}-{number}": one for number, one in enumerate(chance)}
        else:
            found[variant] = chance
    return found


@pytest.fixture
def small(tmp_path):
    return plan(tmp_path, variants=["dynamic", "static", "sft-only"])


def test_a_clear_gain_is_claimed_and_no_gain_is_said_so(small):
    clear = made_run(
        small,
        arms(small, dynamic=[0.85, 0.84, 0.86], static=[0.4, 0.41, 0.42], sft_only=0.3),
    )
    said = conclusions(differences(outcomes(small, clear)))
    assert any("dynamic **beats** static on joint success: +4" in line for line in said)
    assert any("`oracle` (hold-out judge)" in line for line in said)
    equal = made_run(small, arms(small, dynamic=[0.5] * 3, static=[0.5] * 3, sft_only=0.9))
    said = conclusions(differences(outcomes(small, equal)))
    assert any("dynamic **does not beat** static" in line for line in said)
    assert any("dynamic **is worse than** sft-only" in line for line in said)


def test_trainings_that_differ_more_than_variants_decide_nothing(small):
    run = made_run(small, arms(small, dynamic=[0.95, 0.5, 0.95], static=[0.55] * 3, sft_only=0.3))
    found = {
        (one.judge, one.against, one.measure): one for one in differences(outcomes(small, run))
    }
    one = found["kinematic", "static", "joint"]
    assert one.result.over_prompts.interval.low > 0  # over these prompts alone it would be a gain
    assert one.result.interval.low < 0 < one.result.difference
    assert one.verdict == "does not beat"


def test_one_training_claims_nothing(tmp_path):
    ablation = plan(tmp_path, variants=["dynamic", "static"], training_seeds=1)
    run = made_run(ablation, arms(ablation, dynamic=[0.9], static=[0.2]))
    said = conclusions(differences(outcomes(ablation, run)))
    assert all("is untested against" in line for line in said)
    assert all("nothing is claimed" in line for line in said)


def test_replies_without_a_score_count_against_their_variant(small):
    chances = arms(small, dynamic=[0.9] * 3, static=[0.9] * 3, sft_only=0.5)
    run = made_run(small, chances, failed={"dynamic-0", "dynamic-1", "dynamic-2"})
    found = outcomes(small, run)
    dynamic = next(one for one in found if one.variant == "dynamic")
    assert math.isnan(dynamic.rate("joint").rate)
    assert dynamic.rate("joint_of_all").rate == 0.0
    compared = {(one.against, one.measure): one for one in differences(found)}
    assert compared["static", "joint_of_all"].verdict == "is worse than"
    assert compared["static", "joint"].verdict == "is untested against"


def test_rows_hold_every_training_and_all_together(small):
    run = made_run(small, arms(small, dynamic=[0.9, 0.5, 0.7], static=[0.5] * 3, sft_only=0.4))
    found = outcomes(small, run)
    facts = {"dynamic-1": {"reward_clips": 12, "hacking": "ok"}}
    table = rows(found, small.trainings, facts)
    own = [row for row in table if (row["judge"], row["variant"]) == ("kinematic", "dynamic")]
    assert [row["training"] for row in own] == ["all", "0", "1", "2"]
    assert own[0]["n_planned"] == 3 * PROMPTS * REPEATS
    assert own[0]["joint"] == pytest.approx(np.mean([row["joint"] for row in own[1:]]), abs=1e-6)
    assert own[2]["reward_clips"] == 12
    assert [row["training"] for row in table if row["variant"] == "identity"] == ["", ""]
    compared = difference_rows(differences(found))
    assert len(compared) == 2 * 4 * 4  # judges, measures, and static, sft-only and two references


def test_the_page_names_command_versions_seeds_and_simulation(small):
    run = made_run(small, arms(small, dynamic=[0.9] * 3, static=[0.5] * 3, sft_only=0.4))
    found = outcomes(small, run)
    facts = {one.arm: {"reward_clips": 5, "hacking": "fail"} for one in small.trainings}
    page = ablation_markdown(
        small, run, found, differences(found), facts, ["phybench", "train", "ablate", "a b"]
    )
    for part in ("Simulated", "`phybench train ablate 'a b'`", "trl ", "Training seeds: 0, 1, 2"):
        assert part in page
    assert "half SA, half PC throughout" in page
    assert "| 5, 5, 5 | fail |" in page


def test_curves_stand_at_their_steps_also_where_a_training_has_gaps(small):
    logs = [{1: 0.2, 2: 0.4, 3: 0.6}, {1: 0.4, 3: 0.8}]
    for training, log in zip(small.of("dynamic"), logs, strict=False):
        work = training.recipe.final / "training"
        work.mkdir(parents=True)
        rows = [json.dumps({"step": step, "judge/r_pc": value}) for step, value in log.items()]
        (work / "log.jsonl").write_text("\n".join(rows) + "\n")
    steps, values = curves(small.of("dynamic")[:2], "judge/r_pc")
    assert steps.tolist() == [1, 2, 3]
    assert values[0].tolist() == [0.2, 0.4, 0.6]
    assert values[1][[0, 2]].tolist() == [0.4, 0.8]
    assert math.isnan(values[1][1])
    assert curves(small.of("dynamic"), "absent")[0].size == 0


def test_long_curves_are_means_over_blocks_of_steps(small):
    training = small.of("static")[0]
    work = training.recipe.final / "training"
    work.mkdir(parents=True)
    lines = [json.dumps({"step": step, "r": step / 100}) for step in range(1, 101)]
    (work / "log.jsonl").write_text("\n".join(lines) + "\n")
    steps, values = curves([training], "r")
    assert len(steps) == 20
    assert steps[0] == 3  # the mean of 1 to 5
    assert values[0] == pytest.approx(steps / 100)


def test_a_dry_run_counts_trainings_clips_and_arms(workplace):
    options = ["--limit", "10", "--seeds", "2", "--dry-run", "-o", "here"]
    result = CliRunner().invoke(app, ["ablate", "phyprompt-mini", *options])
    assert result.exit_code == 0, result.output
    cost = json.loads(result.stdout)
    assert (cost["trainings"], cost["trainings_left"], cost["stage_one_left"]) == (15, 15, True)
    grpo = load_recipe("phyprompt-mini").grpo
    evaluations = (1 + grpo.steps // grpo.eval_every) * grpo.eval_limit
    assert cost["training_clips"] == 15 * (
        grpo.steps * grpo.prompts_per_step * grpo.group + evaluations
    )
    assert cost["evaluated_arms"] == 18
    assert cost["evaluation_clips"] == 18 * 10 * 2
    assert cost["training_seconds"] is None
    assert cost["checkpoint_bytes"] is None
    assert set(cost["commands"]) == {f"{name}-{n}" for name in VARIANTS for n in range(3)} - {
        f"sft-only-{n}" for n in range(3)
    }
    assert not Path("here").exists()


def command(tiny, *more):
    changes = [
        *tiny.base,
        f"sft_checkpoint={json.dumps(str(tiny.folder / 'phyprompt-mini-sft'))}",
        "data.decontaminate=[tabletop-test]",
        "grpo.steps=2",
    ]
    return [
        *("ablate", "phyprompt-mini", *(part for each in changes for part in ("--set", each))),
        *("--variants", "dynamic,static,no-sft,sft-only", "--training-seeds", "2"),
        *("-p", str(tiny.folder / "prompts.txt"), "--limit", "3", "--seeds", "1"),
        *("-o", "ablation", *more),
    ]


@pytest.mark.slow
def test_an_ablation_from_start_to_table_in_three_starts(tiny, workplace, monkeypatch):
    import phybench.training.stage2.grpo as stage_two

    done = []
    inner = stage_two.train_grpo

    def broken_off(recipe, tell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(recipe.output)
        return inner(recipe, tell)

    monkeypatch.setattr(stage_two, "train_grpo", broken_off)
    first = CliRunner().invoke(app, command(tiny))
    assert first.exit_code != 0
    weights = Path(done[0], "phyprompt-mini", "model.safetensors")
    before = weights.stat().st_mtime_ns
    assert not Path("ablation/ablation.md").exists()

    def counted(recipe, tell):
        done.append(recipe.output)
        return inner(recipe, tell)

    monkeypatch.setattr(stage_two, "train_grpo", counted)
    second = CliRunner().invoke(app, command(tiny))
    assert second.exit_code == 0, (second.output, second.exception)
    assert len(done) == len(set(done)) == 6
    assert weights.stat().st_mtime_ns == before
    page = Path("ablation/ablation.md").read_text()
    assert "dynamic **" in second.stdout
    assert "`oracle`, the hold-out judge" in page
    assert "is not in the recipe's `data.decontaminate`" in page
    assert "nan" not in page
    for name in ("plots/rewards.png", "plots/joint.png"):
        assert Path("ablation", name).read_bytes()[:4] == b"\x89PNG"
    with Path("ablation/ablation.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["variant"] for row in table} == {
        *("identity", "template", "dynamic", "static", "no-sft", "sft-only")
    }
    assert all(int(row["n_planned"]) == 3 for row in table if row["training"] != "all")
    assert all(row["n_failed"] == "0" for row in table if row["variant"] == "identity")
    record = read_json(Path("ablation/ablation.json"))
    assert len(record["start_sha256"]) == 64

    third = CliRunner().invoke(app, command(tiny))
    assert third.exit_code == 0
    assert len(done) == 6
    assert Path("ablation/ablation.csv").read_text() == _csv(table)
    # What it cost is known now.
    plan_again = CliRunner().invoke(app, command(tiny, "--dry-run"))
    cost = json.loads(plan_again.stdout)
    assert (cost["trainings_left"], cost["training_seconds"]) == (0, 0)
    assert cost["checkpoint_bytes"] > 0


def _csv(table):
    from phybench.publish.text import csv_text

    return csv_text(list(table[0]), table)


def test_another_start_than_before_is_refused(tiny, workplace):
    ablation = plan_ablation(
        "phyprompt-mini",
        [
            *tiny.base,
            f"sft_checkpoint={json.dumps(str(tiny.folder / 'phyprompt-mini-sft'))}",
            "data.decontaminate=[tabletop-test]",
        ],
        workplace / "ablation",
    )
    ablation.folder.mkdir()
    (ablation.folder / "ablation.json").write_text('{"start_sha256": "other"}')
    with pytest.raises(ConfigError, match="its weights are others now"):
        run_ablation(ablation, print)
