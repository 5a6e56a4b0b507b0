"""A tiny real model that stage 1 of the real code has taught its format, shared by the tests."""

from __future__ import annotations

import json
import os

import pytest
from tools.training.tiny_training import PROMPTS, triples

from phybench.training.recipe.recipe import load_recipe


def taught(folder, *scratch):
    """Do stage 1 in a folder; see :func:`tiny`.

    Args:
        folder: Empty.
        scratch: The model's size and other changes, for stage 1 too.
    """
    import torch

    from phybench.training.stage1.sft import train_sft

    torch.set_num_threads(1)
    rows = [json.dumps(one.as_json()) for one in triples()]
    (folder / "cot.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    base = [
        "model.scratch={vocabulary: 400, hidden: 64, layers: 2, heads: 4, context: 256}",
        f"data={{source: jsonl, path: '{folder / 'cot.jsonl'}', decontaminate: []}}",
        "sft.epochs=80",
        "sft.batch=12",
        "sft.micro_batch=12",
        "sft.learning_rate=0.006",
        "sft.max_length=200",
        "sft.save_every=50",
        "sft.copying=0",
        f"grpo.prompts='{folder / 'prompts.txt'}'",
        f"grpo.eval_prompts='{folder / 'prompts.txt'}'",
        "grpo.eval_limit=2",
        "grpo.steps=4",
        "grpo.prompts_per_step=2",
        "grpo.micro_batch=8",
        "grpo.max_new_tokens=80",
        "grpo.save_every=2",
        "grpo.eval_every=2",
        "grpo.learning_rate=0.001",
        "grpo.scheduler=constant",
        "grpo.warmup=0",
        "grpo.temperature=1.0",
        "grpo.beta=0.02",
        *scratch,
    ]
    before = os.environ.get("PHYBENCH_CACHE")
    os.environ["PHYBENCH_CACHE"] = str(folder / "cache")

    def recipe(output, *changes):
        where = [f"output='{output}'", f"sft_checkpoint='{folder / 'phyprompt-mini-sft'}'"]
        return load_recipe("phyprompt-mini", [*base, *where, *changes])

    recipe.base = base
    recipe.folder = folder
    recipe.notes = []
    train_sft(recipe(folder, "sft_checkpoint=''"), recipe.notes.append)
    if before is None:
        del os.environ["PHYBENCH_CACHE"]
    else:
        os.environ["PHYBENCH_CACHE"] = before
    return recipe


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A function that gives the tiny recipe, with changes; stage 1 has been done for it."""
    return taught(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    """The same with heads as wide as vLLM wants them."""
    scratch = "model.scratch={vocabulary: 400, hidden: 128, layers: 2, heads: 4, context: 256}"
    return taught(tmp_path_factory.mktemp("wide"), scratch, "sft.learning_rate=0.004")
