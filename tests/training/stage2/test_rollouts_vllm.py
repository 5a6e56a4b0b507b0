"""Stage 2 with replies drawn by the real vLLM, on a CPU; see vllm_on_cpu.py for what is replaced.

tox -e vllm-train
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from tools.places import ROOT

pytest.importorskip("vllm", reason="vLLM is not installed; run `tox -e vllm-train`")
pytest.importorskip("trl", reason="TRL is not installed; run `tox -e vllm-train`")

from tools.services.vllm_server import served

from phybench.machine.files import read_jsonl

pytestmark = pytest.mark.extended

PROGRAM = ROOT / "tests" / "tools" / "training" / "vllm_on_cpu.py"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
COLOCATED = "grpo.vllm={mode: colocate}"
STILL = "grpo.learning_rate=0.000000001"
AGREE = 0.01
"""Nats by which vLLM, in bfloat16, may differ from the trainer on a drawn token, on average."""


def environment(folder):
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PHYBENCH_CACHE": str(folder / "cache"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def train(wide, folder, name, *changes, launcher=(), through=()):
    """`phybench train grpo` of the tiny model; the folder of its logs."""
    own = [
        *wide.base,
        f"sft_checkpoint={json.dumps(str(wide.folder / 'phyprompt-mini-sft'))}",
        f"output={json.dumps(str(folder / name))}",
        *changes,
    ]
    options = [part for change in own for part in ("--set", change)]
    done = subprocess.run(
        [
            *(sys.executable, *launcher, str(PROGRAM), *through),
            *("train", "grpo", "phyprompt-mini", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=folder,
        env=environment(folder),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / name / "phyprompt-mini" / "training"


def told(work, rank=0):
    """Every reply that training was given, in order, with its reward."""
    rows = read_jsonl(work / f"rewards-rank{rank}.jsonl")
    return [
        (row["step"], row["prompt"], row["status"], row["text"], row["reward"])
        for row in rows
        if row["split"] == "train"
    ]


def logged(work, name):
    return [row[name] for row in read_jsonl(work / "log.jsonl") if name in row]


def assert_drawn_from_the_trained_weights(work):
    """vLLM's probabilities are the trainer's own, though training has moved them."""
    apart = logged(work, "sampling/sampling_logp_difference/mean")
    assert len(apart) == 4
    assert max(apart) < AGREE
    assert logged(work, "kl")[-1] > 10 * AGREE


@pytest.fixture(scope="module")
def colocated(wide, tmp_path_factory):
    """Four steps that move the policy far, undisturbed."""
    folder = tmp_path_factory.mktemp("colocated")
    return train(wide, folder, "whole", COLOCATED, "grpo.learning_rate=0.003")


def test_colocated_vllm_draws_from_the_weights_that_are_trained(colocated):
    assert_drawn_from_the_trained_weights(colocated)
    assert {status for _, _, status, _, _ in told(colocated)} >= {"scored"}


def test_replies_that_end_are_not_taken_for_cut_ones(colocated):
    cut = logged(colocated, "reply/truncated_share")
    assert cut == logged(colocated, "completions/clipped_ratio")
    assert min(cut) < 1


def test_a_resumed_training_gets_the_replies_of_an_uninterrupted_one(wide, colocated, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(colocated.parent.parent, folder)
    finished = folder / "phyprompt-mini"
    for path in finished.iterdir():
        if path.is_file():
            path.unlink()
    shutil.rmtree(finished / "training" / "checkpoint-4")
    note = finished / "training" / "recipe.json"
    note.write_text(note.read_text().replace(str(colocated.parent.parent), str(folder)))
    work = train(wide, tmp_path, "again", COLOCATED, "grpo.learning_rate=0.003")
    assert told(work) == told(colocated)


def test_the_recipes_seed_decides_what_is_drawn(wide, tmp_path):
    # TRL lets a colocated vLLM set torch's seed to the rank: all trainings would draw alike.
    one = "grpo.limit=1"  # or the prompts would come in another order
    drawn = []
    for seed in (1, 2):
        work = train(
            wide, tmp_path, f"seed-{seed}", COLOCATED, STILL, one, "grpo.steps=2", f"seed={seed}"
        )
        drawn.append([(status, text) for _, _, status, text, _ in told(work)])
    assert drawn[0] != drawn[1]


def test_an_adapter_reaches_vllm_merged(wide, tmp_path):
    lora = "grpo.lora={rank: 8, alpha: 32, dropout: 0.0, modules: all-linear}"
    work = train(wide, tmp_path, "adapter", COLOCATED, lora, "grpo.learning_rate=0.01")
    assert_drawn_from_the_trained_weights(work)


def test_two_ranks_with_a_vllm_each_share_the_groups(wide, tmp_path):
    work = train(
        wide,
        tmp_path,
        "two",
        COLOCATED,
        "grpo.learning_rate=0.003",
        "grpo.micro_batch=4",
        launcher=TWO,
    )
    assert_drawn_from_the_trained_weights(work)
    ranks = [told(work, rank) for rank in range(2)]
    assert [len(one) for one in ranks] == [16, 16]
    assert ranks[0] != ranks[1]


@pytest.fixture(scope="module")
def server(wide, tmp_path_factory):
    """The address of a vLLM server that was started as the manual says."""
    folder = tmp_path_factory.mktemp("server")
    with served(
        wide.folder / "phyprompt-mini-sft",
        folder / "log.txt",
        *("--weight-transfer-config", '{"backend": "nccl"}'),
        *("--logprobs-mode", "processed_logprobs"),
        environment={**environment(folder), "VLLM_SERVER_DEV_MODE": "1"},
    ) as address:
        yield address


def test_a_server_draws_from_the_weights_that_are_trained(wide, server, tmp_path):
    work = train(
        wide,
        tmp_path,
        "served",
        f"grpo.vllm={{mode: server, base_url: '{server}'}}",
        "grpo.learning_rate=0.003",
        through=("--files", str(wide.folder / "phyprompt-mini-sft"), str(tmp_path / "weights")),
    )
    assert_drawn_from_the_trained_weights(work)
    cut = logged(work, "reply/truncated_share")
    assert cut == logged(work, "completions/clipped_ratio")
    assert min(cut) < 1
