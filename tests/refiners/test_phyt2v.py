from __future__ import annotations

import json

import pytest

pytest.importorskip("httpx", reason="the extra `api` is not installed")
pytest.importorskip("PIL", reason="the extra that encodes frames is not installed")

from tools.services.fake_openai import FakeOpenAI, reply

from phybench.errors import ConfigError
from phybench.machine.digest import text_digest
from phybench.plugins.contracts import Failure
from phybench.refiners.phyt2v import PhyT2V
from phybench.testing import check_refiner

PROMPT = "a ball rolls"
SEED = 20
FACTS = {"objects": "a ball", "law": "It keeps rolling and slows by friction."}


@pytest.fixture(autouse=True)
def _examples(examples):
    return examples


class Studio:
    """Answers as language model and captioner; rewrites grow or shrink by round."""

    def __init__(self, lengths=(90, 60), broken=""):
        self.lengths, self.broken = lengths, broken

    def __call__(self, body):
        content = body["messages"][-1]["content"]
        if isinstance(content, list):
            picture = text_digest(content[0]["image_url"]["url"])[:8]
            return reply("" if self.broken == "caption" else f"The ball hovers ({picture}).")
        asked = json.loads(content)
        if "mismatch" in asked:
            return self.rewrite(asked)
        if "caption" in asked:
            return self.say("mismatch", {"mismatch": "It should roll."})
        return self.say("law", FACTS)

    def say(self, step, value):
        return reply("no json" if self.broken == step else json.dumps(value))

    def rewrite(self, asked):
        tried = 0 if asked["tried"] == asked["text"] else 1
        text = f"Round {tried + 1} of {asked['text']}".ljust(self.lengths[tried] - 1, "o") + "."
        return self.say("rewrite", {"reasoning": "Contact.", "prompt": text})


def phyt2v(server, **options):
    chat = f"vllm:base_url={server.url},model=m,tries=1,usd_per_million_out=1000"
    nested = {"llm": chat, "captioner": chat, "generator": "bar", "by": "brightness"}
    return PhyT2V(**{**nested, **options})


def step(body):
    """What a request asks for."""
    content = body["messages"][-1]["content"]
    if isinstance(content, list):
        return [part["type"] for part in content]
    return sorted(json.loads(content))


def test_the_loop_asks_its_steps_in_order_and_keeps_the_best_round():
    with FakeOpenAI(Studio(lengths=(90, 60))) as server:
        result = phyt2v(server).refine([PROMPT], [SEED])[0]
    round_ = [
        # The example generator's clips have two frames, fewer than the eight shown at most.
        ["image_url", "image_url", "text"],
        ["caption", "law", "objects", "text"],
        ["law", "mismatch", "objects", "text", "tried"],
    ]
    assert [step(body) for body in server.requests] == [["text"], *round_, *round_]
    assert result.text.startswith("Round 1")
    assert result.meta["chosen"] == 1
    assert [len(one["text"]) for one in result.meta["rounds"]] == [len(PROMPT), 90, 60]
    assert result.meta["law"] == FACTS["law"]
    assert result.cost_usd == pytest.approx(7 * 5 * 1000e-6)  # 7 replies of 5 tokens


def test_the_last_round_can_be_kept_as_published():
    with FakeOpenAI(Studio()) as server:
        result = phyt2v(server, keep="last").refine([PROMPT], [SEED])[0]
    assert (result.meta["chosen"], result.text[:7]) == (2, "Round 2")


def test_the_user_s_own_prompt_may_win_and_that_is_recorded():
    """Brightness is (seed + length) % 256: 250 for 200 letters, 6 for a rewrite of 212."""
    prompt = "x" * 200
    with FakeOpenAI(Studio(lengths=(5, 5))) as server:
        result = phyt2v(server).refine([prompt], [50])[0]
    assert (result.meta["chosen"], result.text) == (0, prompt)


def test_adherence_is_judged_against_the_user_s_prompt():
    """The example judge's SA follows from the length of the prompt that it is given."""
    with FakeOpenAI(Studio()) as server:
        result = phyt2v(server).refine([PROMPT], [SEED])[0]
    assert [one["sa"] for one in result.meta["rounds"]] == [1 + len(PROMPT) % 5] * 3


def test_contract():
    with FakeOpenAI(Studio()) as server:
        check_refiner(lambda: phyt2v(server), [PROMPT, "water pours into a glass"])


@pytest.mark.parametrize(
    ("broken", "kind"),
    [("law", "parse"), ("caption", "empty"), ("mismatch", "parse"), ("rewrite", "parse")],
)
def test_a_step_that_fails_is_the_result(broken, kind):
    with FakeOpenAI(Studio(broken=broken)) as server:
        result = phyt2v(server).refine([PROMPT], [SEED])[0]
    assert isinstance(result, Failure)
    assert result.kind == kind


def test_a_clip_that_cannot_be_made_is_its_prompt_s_failure_alone():
    with FakeOpenAI(Studio()) as server:
        first, second = phyt2v(server).refine(["a forbidden thing", PROMPT], [SEED, SEED])
    assert first.kind == "refusal"
    assert second.text.startswith("Round 1")


def test_rounds_cost_clips(examples):
    with FakeOpenAI(Studio(lengths=(90, 60))) as server:
        phyt2v(server, rounds=1).refine([PROMPT], [SEED])
    assert len(list((examples / "cache" / "clips").rglob("*.mp4"))) == 2


def test_everything_nested_is_in_the_fingerprint():
    with FakeOpenAI(Studio()) as server:
        base = phyt2v(server).info
        others = [
            phyt2v(server, rounds=3),
            phyt2v(server, keep="last"),
            phyt2v(server, generator="bar:size=32"),
            phyt2v(server, by="oracle"),
            phyt2v(server, llm=f"vllm:base_url={server.url},model=other"),
        ]
    assert all(other.info.fingerprint != base.fingerprint for other in others)
    assert base.name == "phyt2v(m)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"llm": "identity"}, "Expected `llm` to be a chat model"),
        ({"captioner": "identity"}, "Expected `captioner` to be a chat model"),
        ({"generator": "nothing"}, "known generator"),
    ],
)
def test_nested_plugins_that_cannot_work_are_refused(options, message):
    with FakeOpenAI(Studio()) as server, pytest.raises(ConfigError, match=message):
        phyt2v(server, **options)
