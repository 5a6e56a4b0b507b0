"""From two commands to a checkpoint that a run evaluates; and a training that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from tools.harness import phybench
from typer.testing import CliRunner

from phybench.cli.train import app
from phybench.machine.files import read_json, read_jsonl
from phybench.refiners.phyprompt import read_card
from phybench.training.recipe.recipe import load_recipe

MAIN = "from phybench.cli.train import app; app()"


def sets(changes):
    return [part for change in changes for part in ("--set", change)]


def started(arguments, env):
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def sequence(folder):
    rows = read_jsonl(folder / "phyprompt-mini" / "training" / "rewards-rank0.jsonl")
    return [
        (row["step"], row["split"], row["prompt_id"], row["text"], row["reward"]) for row in rows
    ]


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_gives_the_same_rewards(tiny, workplace):
    changes = [
        *tiny.base,
        f"sft_checkpoint='{tiny.folder / 'phyprompt-mini-sft'}'",
        "grpo.steps=6",
        "grpo.eval_every=6",
    ]
    env = {"OMP_NUM_THREADS": "1"}
    broken = ["grpo", "phyprompt-mini", *sets([*changes, f"output='{workplace / 'broken'}'"])]
    log = workplace / "broken" / "phyprompt-mini" / "training" / "log.jsonl"
    first = started(broken, env)
    while first.poll() is None and not (
        log.exists() and any(row["step"] >= 3 for row in read_jsonl(log))
    ):
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert not (log.parent.parent / "phyprompt.json").exists()
    second = started(broken, env)
    out, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert out.strip().endswith("phyprompt-mini")
    whole = [*changes, f"output='{workplace / 'whole'}'"]
    result = CliRunner().invoke(app, ["grpo", "phyprompt-mini", *sets(whole)])
    assert result.exit_code == 0, result.output
    assert sequence(workplace / "broken") == sequence(workplace / "whole")
    assert len({row[0] for row in sequence(workplace / "whole") if row[1] == "train"}) == 6
    evaluated(workplace / "broken" / "phyprompt-mini")


def evaluated(checkpoint):
    """``phybench run`` knows the new checkpoint as a refiner and fills its cell."""
    card = read_card(checkpoint)
    assert (card.stage, card.base_model) == ("grpo", "scratch")
    done = phybench(
        "run",
        *("-r", f"phyprompt:checkpoint={checkpoint},size=mini,device=cpu"),
        *("-g", "tabletop", "-j", "kinematic", "-p", "tabletop-test", "--limit", "2"),
        *("--executor", "serial", "-o", "evaluation"),
    )
    assert done.returncode in {0, 1}, done.stderr  # 1: some replies of a tiny model are unreadable
    assert "phyprompt-mini" in done.stdout


@pytest.mark.slow
def test_the_7b_recipe_runs_unchanged_with_tiny_models(tiny, workplace):
    tiny_model = tiny.folder / "phyprompt-mini-sft"
    changes = [
        "device=cpu",
        "system_prompt=Physics first.",  # what the tiny model has learnt to answer
        f"model.path='{tiny_model}'",
        "data.source=jsonl",
        f"data.path='{tiny.folder / 'cot.jsonl'}'",
        "data.decontaminate=[tabletop-test]",
        "data.similarity=null",  # an embedding model costs more time than all of the rest
        "sft.epochs=2",
        "sft.batch=4",
        "reward.generator=tabletop",
        "reward.judge=kinematic",
        "reward.holdout=oracle",
        "reward.workers=1",
        f"grpo.prompts='{tiny.folder / 'prompts.txt'}'",
        f"grpo.eval_prompts='{tiny.folder / 'prompts.txt'}'",
        "grpo.eval_limit=2",
        "grpo.steps=2",
        "grpo.prompts_per_step=2",
        "grpo.max_new_tokens=80",
    ]
    asked = load_recipe("phyprompt-7b", changes)
    assert asked.grpo.lora is not None  # the recipe's own adapter, not a simpler path
    for stage in ("sft", "grpo"):
        result = CliRunner().invoke(app, [stage, "phyprompt-7b", *sets(changes)])
        assert result.exit_code == 0, (result.output, result.exception)
    final = workplace / "checkpoints" / "phyprompt-7b"
    assert read_card(final).stage == "grpo"
    rows = list(read_jsonl(final / "training" / "rewards-rank0.jsonl"))
    assert {row["split"] for row in rows} == {"train", "eval"}
    assert any(row["status"] == "scored" for row in rows)
    assert any("holdout" in row for row in rows if row["split"] == "eval")


def test_a_dry_run_says_what_it_costs_and_does_nothing(tiny, workplace):
    changes = [*tiny.base, f"output='{workplace}'", "grpo.steps=10", "grpo.iterations=2"]
    result = CliRunner().invoke(app, ["grpo", "phyprompt-mini", "--dry-run", *sets(changes)])
    assert result.exit_code == 0, result.output
    assert '"rollouts": 5' in result.stdout
    assert '"training_clips": 40' in result.stdout  # 5 rollouts of 2 prompts and 4 replies
    assert '"evaluation_clips": 12' in result.stdout  # steps 0, 2, 4, 6, 8, 10 of 2 prompts
    assert not (workplace / "phyprompt-mini").exists()


def test_the_command_imports_nothing_heavy():
    code = "import sys, phybench.cli.train as t; print({'torch', 'trl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_recipe_that_was_run_is_on_record(tiny):
    note = read_json(tiny.folder / "phyprompt-mini-sft" / "training" / "recipe.json")
    assert note["stage"] == "sft"
    assert note["recipe"]["sft"]["epochs"] == 80
