from __future__ import annotations

import json

import pytest

pytest.importorskip("gepa", reason="the extra `gepa` is not installed")
pytest.importorskip("httpx", reason="the extra `api` is not installed")

from tools.services.fake_openai import FakeOpenAI, reply

from phybench.errors import ConfigError
from phybench.refiners.rewriting.instruction_search import search_instructions

TRAIN = ["a ball rolls", "a cup falls", "water pours"]
VAL = ["ice floats", "a door swings"]
BETTER = "Rewrite the text. Write LONG prompts. Reply as JSON with reasoning and prompt."


@pytest.fixture(autouse=True)
def _examples(examples):
    return examples


def script(body):
    """Reflects by proposing BETTER; refines to dark clips, or bright ones under BETTER."""
    last = body["messages"][-1]["content"]
    if body["messages"][0]["role"] == "user":
        assert "physical commonsense" in last
        return reply(f"I suggest:\n```\n{BETTER}\n```")
    prompt = json.loads(last)["text"]
    # The example generator's brightness is (seed + length) % 256; equal prompts have equal seeds.
    length = 60 if "LONG" in body["messages"][0]["content"] else 30
    dark = (-body["seed"]) % 256
    text = f"{prompt} ".ljust(dark + 256 + length, "o")
    return reply(json.dumps({"reasoning": "r", "prompt": text}))


def search(server, folder, **options):
    chat = f"vllm:base_url={server.url},model=m,temperature=0"
    settings = {
        "refiner": chat,
        "generator": "bar",
        "judge": "brightness",
        "reflection": chat,
        "train": TRAIN,
        "val": VAL,
        "folder": folder,
        "max_metric_calls": 20,
        **options,
    }
    return search_instructions(**settings)


def test_better_instructions_are_found_and_written(tmp_path):
    with FakeOpenAI(script) as server:
        found = search(server, tmp_path / "search")
        requests = len(server.requests)
        again = search(server, tmp_path / "search")
        assert len(server.requests) == requests
    assert found.best_value > found.start_value
    assert found.path.read_text() == BETTER
    assert again.best_value == found.best_value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": []}, "at least one prompt"),
        ({"reflection": "identity"}, "a chat model"),
        ({"refiner": "identity"}, "option of refiner"),
        ({"start": "nothing"}, "physics-v1"),
    ],
)
def test_what_cannot_work_is_refused_before_any_clip(tmp_path, options, message):
    with FakeOpenAI(script) as server:
        with pytest.raises(ConfigError, match=message):
            search(server, tmp_path / "search", **options)
        assert not server.requests
