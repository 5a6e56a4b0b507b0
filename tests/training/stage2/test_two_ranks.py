"""Two ranks that share a group of replies train on the rewards and advantages of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tools.places import ROOT

from phybench.machine.files import read_json, read_jsonl

PROGRAM = ROOT / "tests" / "tools" / "training" / "watched_training.py"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
"""What ``accelerate launch`` starts on GPUs; for CPUs alone it would want MPI."""


def trained(tiny, folder, name, launcher, *changes):
    """The folder of the trainer's logs, and each rank's advantages by step."""
    own = [
        *tiny.base,
        f"sft_checkpoint={json.dumps(str(tiny.folder / 'phyprompt-mini-sft'))}",
        f"output={json.dumps(str(folder / name))}",
        "grpo.steps=2",
        "grpo.prompts_per_step=1",  # one group of four: two replies on each of two ranks
        "grpo.micro_batch=2",
        "grpo.eval_every=100",
        "grpo.save_every=100",
        *changes,
    ]
    setup = folder / f"{name}.json"
    setup.write_text(json.dumps({"changes": own, "cache": str(folder / f"cache-{name}")}))
    done = subprocess.run(
        [sys.executable, *launcher, str(PROGRAM), str(setup)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    work = folder / name / "phyprompt-mini" / "training"
    ranks = 2 if launcher else 1
    seen = [read_json(work / f"seen-rank{rank}.json") for rank in range(ranks)]
    assert [one["ranks"] for one in seen] == [ranks] * ranks
    return work, [one["advantages"] for one in seen]


def rows(work, rank, step):
    return [
        row
        for row in read_jsonl(work / f"rewards-rank{rank}.jsonl")
        if row["split"] == "train" and row["step"] == step
    ]


@pytest.mark.extended
def test_advantages_are_of_the_whole_group_though_two_ranks_hold_it(tiny, tmp_path):
    work, advantages = trained(tiny, tmp_path, "two", TWO)
    spreads = []
    for step in range(2):
        per_rank = [rows(work, rank, step) for rank in range(2)]
        assert [len(one) for one in per_rank] == [2, 2]
        group = [row for one in per_rank for row in one]
        assert len({row["prompt_id"] for row in group}) == 1
        values = np.array([row["reward"] for row in group], float)
        by_hand = np.nan_to_num(values - np.nanmean(values))
        used = [value for one in advantages for value in one[step]]
        assert used == pytest.approx(by_hand.tolist(), abs=1e-5)
        spreads.append(np.nanstd(values[:2]) + np.nanstd(values[2:]))
        # A rank's own mean would have been another one.
        assert np.nanmean(values[:2]) != pytest.approx(np.nanmean(values), abs=1e-3) or step
    assert max(spreads) > 0


@pytest.mark.extended
def test_the_likeliest_replies_get_the_rewards_that_one_process_gives_them(tiny, tmp_path):
    # Ranks draw with seeds of their own; at almost no temperature there is nothing to draw.
    certain = ("grpo.temperature=0.0001", "grpo.learning_rate=0.000000001")
    one, _ = trained(tiny, tmp_path, "one", (), *certain)
    two, _ = trained(tiny, tmp_path, "two", TWO, *certain)

    def told(work, ranks, step):
        found = [row for rank in range(ranks) for row in rows(work, rank, step)]
        return [(row["prompt_id"], row["text"], row["reward"], row["w_sa"]) for row in found]

    for step in range(2):
        assert told(one, 1, step) == told(two, 2, step)
        assert len(told(one, 1, step)) == 4
    assert {row[1] for step in range(2) for row in told(one, 1, step)} != {""}
