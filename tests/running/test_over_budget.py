"""Texts that are longer than a generator reads, sent back to their refiner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.harness import phybench, rows, run_config

from phybench import ClipRequest, ConfigError, Failure, Frames, PluginInfo, Refinement
from phybench.planning.estimate import estimate
from phybench.planning.plan import Plan, build_plan, warnings
from phybench.plugins.opened import Opened
from phybench.plugins.spec import PluginSpec
from phybench.prompts.length_budget import Shortening
from phybench.running.runner import RunOutcome, execute
from phybench.units.cache import Cache
from phybench.units.codec import unit_from_json, unit_to_json
from phybench.units.unit import Unit
from phybench.workers.choice import make_executor

BUDGET = 8
LONG = "a ball rolls down a hill and then on and on and on"


@dataclass
class Reader:
    """A generator that reads eight words and refuses more."""

    seen: list[str] = field(default_factory=list)

    @property
    def info(self) -> PluginInfo:
        return PluginInfo(
            name="reader", revision="1", licence="none", fingerprint={}, prompt_budget=BUDGET
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def generate(self, requests: Sequence[ClipRequest]) -> list[Frames | Failure]:
        import numpy as np

        self.seen += [request.text for request in requests]
        return [
            Failure("over_budget", "It is too long.")
            if len(request.text.split()) > BUDGET
            else Frames(np.zeros((2, 16, 16, 3), np.uint8), 8)
            for request in requests
        ]


@dataclass
class Talker:
    """A refiner that talks too much at first and then as its script says."""

    second: dict[str, Refinement | Failure]
    asked: list[Shortening] = field(default_factory=list)
    refined: list[str] = field(default_factory=list)

    @property
    def info(self) -> PluginInfo:
        return PluginInfo(
            name="talker", revision="1", licence="none", fingerprint={}, max_batch=8, seeded=False
        )

    def refine(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Refinement]:
        self.refined += prompts
        return [
            Refinement(text if text == "a cube" else f"{text} on and on and on", cost_usd=0.25)
            for text in prompts
        ]

    def shorten(
        self, asked: Sequence[Shortening], seeds: Sequence[int]
    ) -> list[Refinement | Failure]:
        self.asked += asked
        return [self.second[one.prompt] for one in asked]


SHORTER = Refinement("a ball rolls down", cost_usd=0.5)
STILL_LONG = Refinement(LONG)


def plan_of(talker: Any, reader: Reader, prompts: Sequence[str], **changes: Any) -> Plan:
    """A plan with plugins made for the test."""
    Path("prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts))
    config = run_config(Path("prompts.txt"), refiners=("identity",), seeds=1)
    plugins = {
        "refiners": (Opened("refiner", PluginSpec("talker"), talker, talker.info),),
        "generators": (Opened("generator", PluginSpec("reader"), reader, reader.info),),
    }
    return replace(build_plan(config), **{**plugins, "retry_over_budget": True, **changes})


def done(plan: Plan, folder: str = "out") -> RunOutcome:
    with Cache(Path("cache")) as units:
        return execute(
            plan,
            Path(folder),
            cache=units,
            executor=make_executor("serial", units.folder / "clips"),
            progress=lambda counts: None,
            plots=False,
        )


PROMPT = "a ball rolls down a hill"


def test_a_text_that_is_too_long_is_sent_back_once(examples: Path) -> None:
    talker, reader = Talker({PROMPT: SHORTER}), Reader()
    outcome = done(plan_of(talker, reader, [PROMPT, "a cube"]))
    assert outcome.cells[0].counts["scored"] == 2
    first = f"{PROMPT} on and on and on"
    assert talker.asked == [Shortening(PROMPT, first, "", tokens=11, budget=BUDGET)]
    assert sorted(reader.seen) == ["a ball rolls down", "a cube"], "the long text is never drawn"
    by_prompt = {row["prompt"]: row["refinement"] for row in rows(Path("out/items.jsonl"))}
    assert "sent_back" not in by_prompt["a cube"]["meta"]
    found = by_prompt[PROMPT]
    assert (found["text"], found["cost_usd"]) == ("a ball rolls down", 0.75)
    record = found["meta"]["sent_back"]
    assert (record["tokens"], record["budget"], record["text"]) == (11, BUDGET, first)
    assert record["key"] != found["key"]
    assert outcome.cells[0].signature.count("over-budget:retried") == 1


def test_nothing_is_asked_for_twice(examples: Path) -> None:
    talker = Talker({PROMPT: SHORTER})
    done(plan_of(talker, Reader(), [PROMPT]))
    done(plan_of(talker, Reader(), [PROMPT]), "again")
    assert (len(talker.refined), len(talker.asked)) == (1, 1)
    with Cache(Path("cache")) as cache:
        found = estimate(plan_of(talker, Reader(), [PROMPT]), cache)
    assert all(stage.units == stage.cached and not stage.unknown for stage in found.stages)


def test_a_text_that_is_still_too_long_is_the_generators_to_refuse(examples: Path) -> None:
    talker = Talker({PROMPT: STILL_LONG})
    outcome = done(plan_of(talker, Reader(), [PROMPT, "a cube"]))
    assert outcome.cells[0].counts["failed"] == 1
    assert len(talker.asked) == 1, "once, not until it fits"
    (failed,) = (row for row in rows(Path("out/items.jsonl")) if row["status"] == "failed")
    assert (failed["error"]["stage"], failed["error"]["kind"]) == ("generate", "over_budget")
    assert failed["refinement"]["meta"]["sent_back"]["tokens"] == 11


def test_a_second_answer_that_fails_is_a_failure(examples: Path) -> None:
    talker = Talker({PROMPT: Failure("server", "It is down.", retryable=True)})
    outcome = done(plan_of(talker, Reader(), [PROMPT, "a cube"]))
    assert outcome.cells[0].counts["failed"] == 1
    assert outcome.counts["refiner"].failed == 1
    (failed,) = (row for row in rows(Path("out/items.jsonl")) if row["status"] == "failed")
    assert (failed["error"]["stage"], failed["error"]["kind"]) == ("refine", "server")
    assert failed["sent_back"]["tokens"] == 11
    talker.second[PROMPT] = SHORTER
    mended = done(plan_of(talker, Reader(), [PROMPT, "a cube"]))
    assert mended.failures == 0
    assert len(talker.refined) == 2, "the first text was kept"


def test_without_the_policy_the_generator_decides(examples: Path) -> None:
    talker = Talker({PROMPT: SHORTER})
    plan = plan_of(talker, Reader(), [PROMPT], retry_over_budget=False)
    assert done(plan).cells[0].counts["failed"] == 1
    assert talker.asked == []
    assert "retry_over_budget" not in plan.identity(), "earlier runs keep their names"


def test_a_refiner_that_cannot_write_shorter_is_named(examples: Path) -> None:
    plan = build_plan(run_config(None, limit=2, generators=("tabletop",), retry_over_budget=True))
    assert [words.split("`")[1] for words in warnings(plan)] == ["identity", "shout"]
    with pytest.raises(ConfigError, match="none has one"):
        build_plan(run_config(None, limit=2, retry_over_budget=True))


def test_a_generator_that_cannot_count_here_is_refused(examples: Path) -> None:
    import sys

    spec = f"tabletop:python={sys.executable}"
    with pytest.raises(ConfigError, match="count tokens in this process, but `tabletop`"):
        build_plan(run_config(None, limit=2, generators=(spec,), retry_over_budget=True))


@given(
    st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=400),
    st.integers(1, 300),
    st.floats(1, 9),
)
def test_the_words_asked_for_fit_the_budget(words: list[str], budget: int, per_word: float) -> None:
    """At the text's own tokens per word; one word is asked for at least."""
    tokens = max(budget + 1, round(len(words) * per_word))
    asked = Shortening("p", " ".join(words), "", tokens, budget)
    assert asked.words == 1 or asked.words * tokens / len(words) <= 0.9 * budget + 1e-9
    assert asked.words < max(2, len(words))
    unit = Unit("key", "shorten", asked, 3)
    assert unit_from_json(json.loads(json.dumps(unit_to_json(unit)))) == unit


@pytest.mark.slow
def test_a_hosted_refiner_is_told_the_limit_and_paid_once(examples: Path) -> None:
    """`tabletop` reads 512 words; the first reply has 600, the second 30."""
    pytest.importorskip("openai", reason="the extra `api` is not installed")
    from tools.services.fake_openai import FakeOpenAI, reply

    def script(body: dict[str, Any]) -> Any:
        user = json.loads(body["messages"][-1]["content"])
        words = 30 if "too_long" in user else 600
        text = json.dumps({"reasoning": "It falls.", "prompt": "A red ball falls. " * (words // 4)})
        return reply(text)

    Path("prompts.txt").write_text("a red ball falls\n")
    with FakeOpenAI(script) as server:
        spec = f"chat:base_url={server.url},model=m,key_env="
        arguments = [
            *("run", "-r", spec, "-g", "tabletop", "-j", "oracle", "-p", "prompts.txt"),
            *("--seeds", "1", "--no-plots", "--retry-over-budget", "--executor", "local"),
        ]
        first = phybench(*arguments, "-o", "out")
        assert first.returncode == 0, first.stderr
        for name in Path("cache").glob("units.sqlite*"):
            name.unlink()
        assert phybench(*arguments, "-o", "again").returncode == 0
        bodies = list(server.requests)
    assert len(bodies) == 2, "two replies were paid, and none of them again"
    second = json.loads(bodies[1]["messages"][-1]["content"])
    assert second["text"] == "a red ball falls"
    assert len(second["too_long"].split()) == 600
    assert "at most 460 words" in bodies[1]["messages"][0]["content"]  # 0.9 * 512
    for folder in ("out", "again"):
        (item,) = rows(Path(folder) / "items.jsonl")
        assert len(item["refinement"]["text"].split()) == 28
        assert item["refinement"]["meta"]["sent_back"]["tokens"] == 600


def test_the_policy_can_stand_in_a_config_file(examples: Path) -> None:
    Path("run.yaml").write_text("retry_over_budget: true\nlimit: 2\ngenerators: bar\n")
    refused = phybench("plan", "--config", "run.yaml")
    assert (refused.returncode, "--retry-over-budget" in refused.stderr) == (2, True)
    Path("run.yaml").write_text("retry_over_budget: 1\n")
    wrong = phybench("plan", "--config", "run.yaml")
    assert (wrong.returncode, "to be bool, but got 1" in wrong.stderr) == (2, True)
