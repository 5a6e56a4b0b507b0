"""The vLLM path for real, in process and as a server; vLLM needs an environment of its own.

tox -e vllm
"""

from __future__ import annotations

import json
import os

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed; run `tox -e vllm`")

from tools.models.tiny_language_models import build_model, build_tokenizer, save, teach
from tools.services.vllm_server import served

from phybench.plugins.contracts import Refinement
from phybench.plugins.registry import create
from phybench.refiners.local import Local
from phybench.refiners.rewriting.task import rewriting_task

pytestmark = pytest.mark.extended

INSTRUCTIONS = "Rewrite the text so that its video obeys physics, in {words} words. {language}"
REPLIES = {
    "a ball rolls": ("it keeps rolling", "A ball rolls down and slows."),
    "water pours": ("it keeps its volume", "Water pours and fills the glass."),
    "a red cup falls from a tall table": ("it falls faster", "A red cup falls and breaks."),
}
PROMPTS = list(REPLIES)
SEEDS = [1, 2, 3]


def json_reply(reasoning, prompt):
    return json.dumps({"reasoning": reasoning, "prompt": prompt})


@pytest.fixture(scope="module", autouse=True)
def _small_cache(tmp_path_factory):
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ["PHYBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def instructions(tmp_path_factory):
    path = tmp_path_factory.mktemp("vllm") / "rewrite.md"
    path.write_text(INSTRUCTIONS)
    return str(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, instructions):
    task = rewriting_task(instructions)
    texts = [task.system_prompt, *PROMPTS, *(json_reply(*reply) for reply in REPLIES.values())]
    tokenizer = build_tokenizer(texts)
    model = build_model(len(tokenizer), width=128, heads=2)  # vLLM wants heads of 32 and more
    pairs = [(task.messages(text), json_reply(*reply)) for text, reply in REPLIES.items()]
    assert teach(model, tokenizer, pairs, steps=200, rate=2e-3) < 0.05
    return save(tmp_path_factory.mktemp("vllm") / "taught", model, tokenizer)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, checkpoint, instructions):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(checkpoint),
        LoraConfig(r=8, lora_alpha=32, target_modules="all-linear"),
    )
    messages = rewriting_task(instructions).messages(PROMPTS[0])
    pairs = [(messages, json_reply("it keeps its volume", "Water rolls."))]
    assert (
        teach(model, AutoTokenizer.from_pretrained(checkpoint), pairs, steps=100, rate=2e-3) < 0.05
    )
    folder = tmp_path_factory.mktemp("vllm") / "adapter"
    model.save_pretrained(folder)
    return folder


def local(model, instructions, **options):
    settings = {"device": "cpu", "temperature": 0, "max_new_tokens": 60}
    return Local(model=str(model), instructions=instructions, **{**settings, **options})


@pytest.fixture(scope="module")
def greedy(checkpoint, instructions):
    return local(checkpoint, instructions, engine="vllm")


def test_greedy_replies_are_those_of_transformers(greedy, checkpoint, instructions):
    expected = local(checkpoint, instructions).refine(PROMPTS, SEEDS)
    found = greedy.refine(PROMPTS, SEEDS)
    assert found == expected
    assert all(isinstance(one, Refinement) for one in found)


def test_a_prompt_beyond_the_context_fails_alone(greedy):
    first, second = greedy.refine([PROMPTS[0], "ball " * 600], SEEDS[:2])
    assert isinstance(first, Refinement)
    assert second.kind == "context"


def test_a_cut_reply_is_a_failure(checkpoint, instructions):
    short = local(checkpoint, instructions, engine="vllm", max_new_tokens=5)
    assert short.refine(PROMPTS[:1], SEEDS[:1])[0].kind == "length"


def test_adapter_replies_are_those_of_transformers(checkpoint, adapter, instructions):
    both = [
        local(checkpoint, instructions, adapter=str(adapter), engine=engine)
        for engine in ("transformers", "vllm")
    ]
    expected, found = (refiner.refine(PROMPTS[:1], SEEDS[:1]) for refiner in both)
    assert found == expected
    assert found[0].text == "Water rolls."


def test_sampling_repeats_with_the_seed(checkpoint, instructions):
    refiner = local(
        checkpoint, instructions, engine="vllm", temperature=2.0, reply="text", max_new_tokens=20
    )
    first, again = (refiner.refine(PROMPTS, SEEDS) for _ in range(2))
    assert first == again
    assert refiner.refine(PROMPTS, [4, 5, 6]) != first


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    """The address of a vLLM server."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    named = ("--served-model-name", "tiny", "--dtype", "float32")
    with served(checkpoint, log, *named) as address:
        yield f"{address}/v1"


def test_the_preset_speaks_to_a_real_server(server, instructions):
    spec = (
        f"vllm:base_url={server},model=tiny,instructions={instructions},temperature=0,"
        "max_tokens=100"
    )
    refined = create("refiner", spec).refine(PROMPTS, SEEDS)
    assert [(one.reasoning, one.text) for one in refined] == [REPLIES[text] for text in PROMPTS]


def test_the_schema_is_enforced_on_a_model_that_would_not_follow_it(server, instructions):
    """At temperature 2 the model babbles; with the schema, what is complete is still readable."""
    spec = f"vllm:base_url={server},model=tiny,instructions={instructions},temperature=2,tries=1"
    refined = create("refiner", f"{spec},max_tokens=200").refine(PROMPTS * 4, range(12))
    assert {one.kind for one in refined if not isinstance(one, Refinement)} <= {
        "length",
        "leak",
        "empty",
        "language",
    }
