"""What a judge that is a language model asks, and what it refuses."""

from __future__ import annotations

import json
import logging

import pytest
import tools.services.fake_openai as fake
from tools.services.vlm_calls import KEY, PROMPT, inline, judge_for, judged, rating

from phybench import ConfigError
from phybench.judges.vlm.plugin import Vlm


@pytest.mark.parametrize(
    ("read", "text", "sa"),
    [
        ("line", "The ball falls as it should.\n4\n", 4),
        ("line", "<think>\n2\n</think>\n5.", 5),
        ("tag", "<think>hm</think><answer>\n 3 \n</answer>", 3),
    ],
)
def test_single_ratings_are_read_from_a_line_or_tag(clip, read, text, sa):
    ask = {"read": read, "text": "How well does it show {prompt}?"}
    asks = [
        {**ask, "name": "adherence", "fields": {"sa": "rating"}},
        {**ask, "name": "physics", "fields": {"pc": "rating"}},
    ]
    template = {"media": {"form": "images"}, "asks": asks}
    result, server = judged(fake.reply(text), clip, template=template)
    assert (result.sa, result.pc) == (sa, sa)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("read", "text"),
    [
        ("line", "4\n5"),
        ("line", "The rating is 4."),
        ("tag", "<answer>4"),
        ("tag", "<answer>4</answer><answer>2</answer>"),
        ("tag", "<answer>maybe 4</answer>"),
        ("pattern", "SA is four"),
        ("pattern", "sa: 9; pc: 2"),
    ],
)
def test_unclear_single_ratings_are_failures(clip, read, text):
    ask = {"name": "a", "read": read, "text": "Rate.", "pattern": r"sa: (?P<a>\d+); pc: (?P<b>\d+)"}
    fields = [{"sa": "a", "pc": "b"}] if read == "pattern" else [{"sa": "x"}, {"pc": "x"}]
    asks = [{**ask, "name": str(n), "fields": field} for n, field in enumerate(fields)]
    template = {"media": {"form": "images"}, "asks": asks}
    result, _ = judged(fake.reply(text), clip, template=template)
    assert result.kind == "parse"


def test_the_last_match_of_a_pattern_counts(clip):
    ask = {"read": "pattern", "pattern": r"sa: (?P<a>\d+); pc: (?P<b>\d+)"}
    template = inline(ask={**ask, "fields": {"sa": "a", "pc": "b"}})
    result, _ = judged(
        fake.reply("I shall write sa: 1; pc: 1.\nsa: 4; pc: 2"), clip, template=template
    )
    assert (result.sa, result.pc) == (4, 2)


def test_several_questions_are_averaged(clip):
    def script(body):
        text = body["messages"][-1]["content"][-1]["text"]
        return fake.reply(json.dumps({"n": {"sa?": 5, "one?": 2, "two?": 3}[text]}))

    ask = {"read": "json"}
    asks = [
        {**ask, "name": "sa", "text": "sa?", "fields": {"sa": "n"}},
        {**ask, "name": "gravity", "text": "one?", "fields": {"pc": "n"}},
        {**ask, "name": "inertia", "text": "{which}?", "fields": {"pc": "n"}},
    ]
    asks[2]["variables"] = {"which": "two"}
    template = {"media": {"form": "images"}, "asks": asks}
    result, _ = judged(script, clip, template=template)
    assert (result.sa, result.pc) == (5, 2.5)
    result, _ = judged(script, clip, template=template, asks=["sa", "gravity"])
    assert (result.sa, result.pc) == (5, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "no-such"}, "no-such"),
        ({"template": {"asks": []}}, "asks"),
        ({"template": inline(ask={"fields": {"sa": "sa"}})}, "both sa and pc"),
        ({"template": inline(ask={"read": "guess"})}, "read"),
        ({"template": inline(ask={"read": "pattern", "pattern": "("})}, "regular expression"),
        ({"template": inline(ask={"read": "pattern", "pattern": "x"})}, "no group"),
        ({"template": inline(ask={"surprise": 1})}, "surprise"),
        ({"template": inline(media=None)}, "media"),
        ({"template": inline(ask={"text": ""})}, "wording"),
        ({"wording": "file.txt"}, "wording"),
        ({"asks": ["rubric", "other"]}, "other"),
        ({"key_env": "NO_SUCH_JUDGE_KEY"}, "NO_SUCH_JUDGE_KEY"),
        ({"base_url": "nowhere"}, "base_url"),
    ],
)
def test_what_cannot_work_is_refused_before_any_request(options, message):
    with pytest.raises(ConfigError, match=message):
        Vlm(model="m", **options)


def test_a_wording_that_only_the_user_knows_comes_from_a_file(clip, tmp_path):
    path = tmp_path / "question.txt"
    path.write_text("Is this {prompt}?")
    template = inline(ask={"text": ""})
    result, server = judged(fake.reply(rating()), clip, template=template, wording=str(path))
    assert result.sa == 4
    assert server.requests[0]["messages"][-1]["content"][-1]["text"] == f"Is this {PROMPT}?"


def test_everything_that_changes_a_score_changes_the_fingerprint():
    def fingerprint(**options):
        return Vlm(model="m", **options).info.fingerprint

    plain = fingerprint()
    changes = [
        {"frames": 8},
        {"size": 224},
        {"media": "video"},
        {"temperature": 0.5},
        {"seed": 1},
        {"max_tokens": 5},
        {"structured": False},
        {"template": inline()},
    ]
    assert all(fingerprint(**change) != plain for change in changes)
    assert fingerprint(concurrency=2, timeout_s=5.0) == plain


def test_before_a_run_the_server_must_serve_the_model():
    models = [{"id": "other", "object": "model", "root": "org/judge"}]
    with fake.FakeOpenAI([], models=models) as server:
        (problem,) = judge_for(server, model="judge").check(plan=None)
        assert "other" in problem
        assert judge_for(server, model="org/judge").check(plan=None) == []
        assert judge_for(server, model="x", check_model=False).check(plan=None) == []
        address = server.url
    (problem,) = Vlm(model="m", base_url=address).check(plan=None)
    assert address in problem


def test_the_key_appears_nowhere(clip, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    echo = fake.status(400, message=f"bad key {KEY}")
    for action in (fake.reply(rating()), echo):
        result, server = judged(action, clip, key_env="JUDGE_KEY")
        assert KEY not in repr(result)
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    judge = Vlm(model="m", key_env="JUDGE_KEY")
    assert KEY not in repr(judge.info)
    output = capfd.readouterr()
    assert KEY not in caplog.text + output.out + output.err
