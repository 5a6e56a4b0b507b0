"""``phybench refine``, the function, the server and a run give one text for one seed."""

from __future__ import annotations

import json
from pathlib import Path

from tools.harness import do_run, phybench, run_config
from tools.services.fake_openai import FakeOpenAI, reply

from phybench.refiners.serving.rewriter import load_rewriter


def by_seed(body):
    """A refinement that tells the seed it was made with."""
    text = json.loads(body["messages"][-1]["content"])["text"]
    prompt = f"A video of {text} with number {body['seed']}."
    return reply(json.dumps({"reasoning": "It moves.", "prompt": prompt}))


def texts_of_run(spec: str, prompts: Path, folder: Path) -> list[str]:
    config = run_config(prompts, refiners=(spec,), seeds=2, seed=5)
    do_run(config, folder / "run", folder / "cache")
    rows = [json.loads(line) for line in (folder / "run" / "items.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: (row["prompt_id"], row["k"]))
    return [row["refinement"]["text"] for row in rows]


def check(folder: Path, prompts: Path) -> list[str]:
    with FakeOpenAI(by_seed) as server:
        spec = f"vllm:base_url={server.url},model=m,tries=1"
        asked = ("--seed", "5", "--n", "2", "--file", str(prompts))
        refined = phybench("refine", "-r", spec, *asked)
        assert refined.returncode == 0, refined.stderr
        paid = len(server.requests)
        assert sorted(texts_of_run(spec, prompts, folder)) == sorted(refined.stdout.splitlines())
        assert len(server.requests) == paid
        assert phybench("refine", "-r", spec, *asked).stdout == refined.stdout
        assert len(server.requests) == paid
        first = load_rewriter(spec)("a ball falls", seed=5)
    assert first == refined.stdout.splitlines()[0] or "id" in prompts.read_text()
    return refined.stdout.splitlines()


def test_refine_and_run_agree_and_nothing_is_paid_twice(examples: Path) -> None:
    prompts = examples / "prompts.txt"
    prompts.write_text("a ball falls\na cup tips\n")
    assert len(set(check(examples, prompts))) == 4


def test_they_agree_on_sets_with_ids_too(examples: Path) -> None:
    prompts = examples / "prompts.csv"
    prompts.write_text("id,prompt\none,a ball falls\ntwo,a cup tips\n")
    assert len(set(check(examples, prompts))) == 4
