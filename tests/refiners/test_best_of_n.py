from __future__ import annotations

import json

import pytest

pytest.importorskip("httpx", reason="the extra `api` is not installed")

from tools.harness import do_run, run_config
from tools.services.fake_openai import FakeOpenAI, reply

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure
from phybench.plugins.spec import parse_spec
from phybench.prompts.seeds import item_seed
from phybench.refiners.best_of_n import BestOfN, candidate_seed
from phybench.testing import check_refiner
from phybench.units.keys import fingerprint
from phybench.workers.opening import open_plugin

PROMPTS = ["a ball rolls", "water is poured into a glass"]
SEED = 20
# The example generator's brightness is (seed + length of the text) % 256, so that PC by the
# example judge grows with the length of the text.
LENGTHS = {SEED: 40, **{candidate_seed(SEED, at): length for at, length in ((1, 90), (2, 60))}}


@pytest.fixture(autouse=True)
def _examples(examples):
    return examples


def asked(body):
    return json.loads(body["messages"][-1]["content"])["text"]


def text_of(length, prompt):
    return f"A video of {prompt}".ljust(length - 1, "o") + "."


def reply_with_length(length, body):
    text = text_of(length, asked(body))
    return reply(json.dumps({"reasoning": "It moves.", "prompt": text}))


def by_seed(body):
    """A refinement whose length follows from the seed."""
    return reply_with_length(LENGTHS.get(body["seed"], 50), body)


def best(server, *, n=3, refiner="", generator="bar", by="brightness", extra=""):
    inner = refiner or f"vllm:base_url={server.url},model=m,tries=1{extra}"
    return BestOfN(refiner=inner, generator=generator, by=by, n=n)


def test_the_candidate_that_the_judge_scores_best_is_kept():
    with FakeOpenAI(by_seed) as server:
        result = best(server, extra=",usd_per_million_out=1000").refine(PROMPTS[:1], [SEED])[0]
    assert result.text == text_of(90, PROMPTS[0])
    assert result.meta["chosen"] == 1
    assert result.meta["selection_judge"] == "brightness"
    scores = [one["pc"] for one in result.meta["candidates"]]
    assert scores[1] > scores[2] > scores[0]
    assert result.cost_usd == pytest.approx(3 * 5 * 1000e-6)  # 3 candidates of 5 tokens


def test_the_first_candidate_is_the_inner_refiner_s_own():
    with FakeOpenAI(by_seed) as server:
        result = best(server).refine(PROMPTS[:1], [SEED])[0]
        own = open_plugin("refiner", parse_spec(f"vllm:base_url={server.url},model=m"))
        assert (
            own.plugin.refine(PROMPTS[:1], [SEED])[0].text == result.meta["candidates"][0]["text"]
        )


def test_equal_scores_keep_the_earlier_candidate():
    with FakeOpenAI(
        [reply(json.dumps({"reasoning": "r", "prompt": "Always the same."}))]
    ) as server:
        assert best(server).refine(PROMPTS[:1], [SEED])[0].meta["chosen"] == 0


def test_contract():
    with FakeOpenAI(by_seed) as server:
        check_refiner(lambda: best(server), PROMPTS)


def test_failed_candidates_are_passed_over_and_recorded():
    def script(body):
        if body["seed"] == SEED:
            return reply("no json")
        if body["seed"] == candidate_seed(SEED, 1):
            return reply(json.dumps({"reasoning": "r", "prompt": "A forbidden thing."}))
        return by_seed(body)

    with FakeOpenAI(script) as server:
        result = best(server).refine(PROMPTS[:1], [SEED])[0]
    assert result.meta["chosen"] == 2
    first, second, third = result.meta["candidates"]
    assert first == {"failure": "parse"}
    assert second == {"text": "A forbidden thing.", "failure": "refusal"}
    assert third["pc"] > 1


def test_no_text_at_all_is_the_refiner_s_failure():
    with FakeOpenAI([reply("no json")]) as server:
        result = best(server).refine(PROMPTS[:1], [SEED])[0]
    assert (result.kind, result.reply) == ("parse", "no json")


def test_no_score_at_all_is_a_failure_and_not_a_lucky_pick():
    prompt = "A forbidden thing."
    with FakeOpenAI([reply(json.dumps({"reasoning": "r", "prompt": prompt}))]) as server:
        result = best(server).refine(PROMPTS[:1], [SEED])[0]
    assert isinstance(result, Failure)
    assert (result.kind, result.retryable) == ("selection", False)
    assert "refuses forbidden things" in result.message


def test_one_prompt_s_failure_is_not_its_neighbour_s():
    def script(body):
        return by_seed(body) if asked(body) == PROMPTS[0] else reply("no json")

    with FakeOpenAI(script) as server:
        found = best(server).refine(PROMPTS, [SEED, SEED])
    assert found[0].text == text_of(90, PROMPTS[0])
    assert found[1].kind == "parse"


def test_clips_made_for_the_choice_are_the_run_s_clips(examples):
    """A run over best-of-3 with the same generator stores three clips per prompt, no fourth."""
    (examples / "prompts.txt").write_text("\n".join(PROMPTS))
    with FakeOpenAI(lambda body: reply_with_length(40 + body["seed"] % 97, body)) as server:
        inner = f"vllm:base_url={server.url},model=m"
        config = run_config(
            examples / "prompts.txt",
            refiners=[f"best-of-n:refiner=[{inner}],generator=bar,by=brightness,n=3"],
            seeds=1,
        )
        done = do_run(config, examples / "run", examples / "cache")
        assert len(server.requests) == 6
    assert [cell.counts["scored"] for cell in done.cells] == [2]
    assert len(list((examples / "cache" / "clips").rglob("*.mp4"))) == 6


def test_the_judge_that_picked_can_be_compared_with_the_one_that_evaluates():
    with FakeOpenAI(by_seed) as server:
        found = best(server).info.fingerprint
    judge = open_plugin("judge", parse_spec("brightness"))
    assert found["selection_judge"] == "brightness"
    assert found["selection_judge_fingerprint"] == fingerprint(judge)


def test_everything_nested_is_in_the_fingerprint():
    with FakeOpenAI(by_seed) as server:
        base = best(server)
        for other in (
            best(server, n=4),
            best(server, generator="bar:size=32"),
            best(server, by="oracle"),
            best(server, extra=",temperature=1"),
        ):
            assert other.info.fingerprint != base.info.fingerprint
    assert base.info.simulated
    assert base.info.name == "best-of-3(m)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refiner": "identity"}, "other texts for other seeds"),
        ({"extra": ",temperature=0"}, "temperature above 0"),
        ({"generator": "nothing"}, "known generator"),
        ({"by": "brightness:level=3"}, "option of judge"),
    ],
)
def test_nested_plugins_that_cannot_work_are_refused(options, message):
    with FakeOpenAI(by_seed) as server, pytest.raises(ConfigError, match=message):
        best(server, **options)


def test_candidate_seeds_differ_and_are_legal():
    seeds = [candidate_seed(item_seed(0, "p", k), at) for k in range(3) for at in range(8)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
