"""The chat client against a real server on the loopback that misbehaves in every known way."""

from __future__ import annotations

import email.utils
import logging
import threading
import time

import pytest
import tools.services.fake_openai as fake

from phybench import Failure
from phybench.errors import ConfigError
from phybench.services.chat_client import ChatClient, ChatRequest, Reply
from phybench.services.endpoint import Endpoint

KEY = "sk-test-1234567890-secret"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)


class Sleeps(list):
    """Records waits instead of waiting."""

    def __call__(self, seconds):
        self.append(seconds)


def ask(server, *texts, sleeps=None, **options):
    endpoint = Endpoint(
        base_url=server.url, model="fake-model", key_env="TEST_KEY", **{"timeout_s": 5.0, **options}
    )
    client = ChatClient(endpoint, sleep=Sleeps() if sleeps is None else sleeps)
    requests = [ChatRequest([{"role": "user", "content": text}]) for text in texts or ("hi",)]
    try:
        return client.complete(requests), client.usage
    finally:
        client.close()


def one(action, **options):
    with fake.FakeOpenAI(action if isinstance(action, list) else [action]) as server:
        (result,), usage = ask(server, **options)
    return result, usage


def test_a_reply_carries_text_tokens_cost_and_the_answering_model():
    result, usage = one(
        fake.reply("hello", prompt_tokens=1000, completion_tokens=100),
        usd_per_million_in=2.5,
        usd_per_million_out=10.0,
    )
    assert isinstance(result, Reply)
    assert (result.text, result.model, result.finish_reason) == ("hello", "fake-model-2026", "stop")
    # 1000 tokens at 2.5 $/M + 100 tokens at 10 $/M
    assert result.cost_usd == pytest.approx(0.0035)
    assert (usage.requests, usage.attempts, usage.prompt_tokens) == (1, 1, 1000)
    assert usage.cost_usd == pytest.approx(0.0035)


def test_an_unknown_price_is_none_not_zero():
    result, usage = one(fake.reply("hello"))
    assert result.cost_usd is None
    assert usage.cost_usd is None


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_from_the_text(field):
    result, _ = one(fake.reply("4", message={field: "because"}))
    assert (result.text, result.reasoning) == ("4", "because")


def test_the_request_carries_messages_schema_and_sampling_and_the_key_only_in_its_header():
    schema = {"type": "object", "properties": {"sa": {"type": "integer"}}, "required": ["sa"]}
    with fake.FakeOpenAI([fake.reply("{}")]) as server:
        endpoint = Endpoint(base_url=server.url, model="m", key_env="TEST_KEY")
        client = ChatClient(endpoint)
        sampling = {"temperature": 0.0, "seed": 7, "media_io_kwargs": {"video": {"fps": 2}}}
        client.complete([ChatRequest([{"role": "user", "content": "q"}], schema, sampling)])
        client.close()
    (body,), (headers,) = server.requests, server.headers
    assert body["model"] == "m"
    assert body["messages"] == [{"role": "user", "content": "q"}]
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert {name: body[name] for name in sampling} == sampling
    assert headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(body)


def test_results_come_in_the_order_of_the_requests_whatever_answers_first():
    late = threading.Event()

    def script(body):
        text = body["messages"][0]["content"]
        if text == "last":
            late.set()
        return fake.reply(text.upper(), gate=late if text == "first" else None)

    with fake.FakeOpenAI(script) as server:
        results, _ = ask(server, "first", "middle", "last", concurrency=3)
    assert [result.text for result in results] == ["FIRST", "MIDDLE", "LAST"]


def test_no_more_requests_are_in_flight_than_allowed():
    with fake.FakeOpenAI([fake.reply("x")]) as server:
        ask(server, *"abcdefghij", concurrency=2)
    assert len(server.requests) == 10
    assert server.most_in_flight <= 2


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 529])
def test_a_passing_error_is_retried_with_growing_bounded_jitter(code):
    sleeps = Sleeps()
    result, usage = one([*[fake.status(code)] * 3, fake.reply("ok")], sleeps=sleeps)
    assert result.text == "ok"
    assert usage.attempts == 4
    assert len(sleeps) == 3
    # Full jitter: wait n lies in [0, 1 s * 2^n].
    assert all(0 <= wait <= 2**n for n, wait in enumerate(sleeps))


@pytest.mark.parametrize("value", ["7", "http-date"])
def test_retry_after_is_honoured(value):
    sleeps = Sleeps()
    if value == "http-date":
        value = email.utils.formatdate(time.time() + 7, usegmt=True)
    result, _ = one([fake.status(429, retry_after=value), fake.reply("ok")], sleeps=sleeps)
    assert result.text == "ok"
    assert 5 <= sleeps[0] <= 8


def test_retry_after_beyond_the_budget_fails_at_once_and_can_be_retried_later():
    sleeps = Sleeps()
    result, usage = one(fake.status(429, retry_after="3000"), sleeps=sleeps, budget_s=60)
    assert (result.kind, result.retryable) == ("rate-limit", True)
    assert usage.attempts == 1
    assert sleeps == []


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-5", ""])
def test_a_senseless_retry_after_falls_back_to_the_backoff(value):
    sleeps = Sleeps()
    result, _ = one([fake.status(429, retry_after=value), fake.reply("ok")], sleeps=sleeps)
    assert result.text == "ok"
    assert 0 <= sleeps[0] <= 1


@pytest.mark.parametrize(
    ("action", "kind", "retryable", "attempts"),
    [
        (fake.status(429), "rate-limit", True, 3),
        (fake.status(500), "server", True, 3),
        (fake.raw(b"<html>bad gateway</html>", code=502), "server", True, 3),
        (fake.drop(), "connection", True, 3),
        (fake.cut_off(), "connection", True, 3),
        (fake.truncated(), "parse", True, 3),
        (fake.reply("x", finish_reason="insufficient_system_resource"), "server", True, 3),
        (fake.raw(b"[]"), "parse", False, 1),
        (fake.raw(b'{"choices": []}'), "parse", False, 1),
        (fake.raw(b'{"choices": "x"}'), "parse", False, 1),
        (fake.raw(b'{"error": {"message": "with status 200"}}'), "parse", False, 1),
        (fake.reply(5), "parse", False, 1),
        (fake.reply([{"type": "text"}]), "parse", False, 1),
        (fake.reply(None), "empty", True, 1),
        (fake.reply("  \n"), "empty", True, 1),
        (fake.reply("cut he", finish_reason="length"), "length", True, 1),
        (fake.refusal(), "refusal", False, 1),
        (fake.content_filter(), "filter", False, 1),
        (fake.status(400, error_code="moderation_blocked"), "filter", False, 1),
        (fake.status(400), "request", False, 1),
        (fake.status(404), "request", False, 1),
        (fake.status(422), "request", False, 1),
        (fake.status(401), "auth", True, 1),
        (fake.raw(b'{"error": "Unauthorized"}', code=401), "auth", True, 1),
        (fake.status(403), "auth", True, 1),
        (fake.status(402), "credit", True, 1),
        (fake.status(429, kind="insufficient_quota"), "credit", True, 1),
    ],
)
def test_every_fault_is_a_failure_of_its_kind(action, kind, retryable, attempts):
    result, usage = one(action, attempts=3)
    assert isinstance(result, Failure)
    assert (result.kind, result.retryable, usage.attempts) == (kind, retryable, attempts)
    assert result.message


def test_a_server_that_hangs_times_out():
    result, usage = one(fake.hang(), timeout_s=0.2, attempts=2)
    assert (result.kind, result.retryable, usage.attempts) == ("timeout", True, 2)


def test_a_reply_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("phybench.services.chat_client.MAX_REPLY_BYTES", 10_000)
    result, _ = one(fake.reply("x" * 20_000))
    assert (result.kind, result.retryable) == ("parse", False)


def test_nothing_listening_is_a_connection_failure():
    with fake.FakeOpenAI([fake.reply("x")]) as server:
        pass
    (result,), _ = ask(server, attempts=2)
    assert (result.kind, result.retryable) == ("connection", True)


def test_a_text_that_utf8_cannot_hold_fails_alone():
    with fake.FakeOpenAI([fake.reply("ok")]) as server:
        (good, bad), _ = ask(server, "fine", "\ud800")
    assert good.text == "ok"
    assert isinstance(bad, Failure)
    assert bad.kind == "request"


def test_cut_and_refused_answers_are_billed_and_kept():
    result, usage = one(
        fake.reply("half an ans", finish_reason="length", prompt_tokens=10, completion_tokens=5)
    )
    assert result.reply == "half an ans"
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 5)


def test_a_refused_key_stops_the_remaining_requests():
    with fake.FakeOpenAI([fake.status(401)]) as server:
        results, _ = ask(server, *"abcdefgh", concurrency=1)
    assert [result.kind for result in results] == ["auth"] * 8
    assert len(server.requests) == 1


def test_no_request_is_sent_once_the_money_is_spent():
    # Each reply costs 10 $/M * 100 000 tokens = 1 $.
    action = fake.reply("x", prompt_tokens=100_000, completion_tokens=0)
    with fake.FakeOpenAI([action]) as server:
        results, usage = ask(
            server,
            *"abcdef",
            concurrency=1,
            usd_per_million_in=10,
            usd_per_million_out=10,
            max_usd=1.5,
        )
    assert [isinstance(result, Reply) for result in results] == [True, True, *[False] * 4]
    assert {result.kind for result in results[2:]} == {"cost-limit"}
    assert usage.cost_usd == pytest.approx(2.0)
    assert len(server.requests) == 2


def test_attempts_are_spaced_to_the_rate():
    sleeps = Sleeps()
    with fake.FakeOpenAI([fake.reply("x")]) as server:
        ask(server, *"abcd", sleeps=sleeps, concurrency=1, per_minute=6)
    # Start times are 10 s apart; the recorded waits do not pass, so they add up: 10, 20, 30.
    assert [round(wait / 10) for wait in sleeps] == [1, 2, 3]


def test_the_key_appears_in_no_log_message_or_result(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    echo = fake.status(401, message=f"Incorrect API key provided: {KEY}")
    mangled = fake.raw(f'{{"key": "{KEY}"'.encode())
    for action in (fake.reply("x"), echo, mangled, fake.status(500, message=KEY)):
        result, _ = one(action, attempts=1)
        assert KEY not in repr(result)
    assert KEY not in caplog.text
    output = capfd.readouterr()
    assert KEY not in output.out + output.err


def test_the_served_models_can_be_listed():
    models = [{"id": "judge", "object": "model", "root": "org/judge-7b"}]
    with fake.FakeOpenAI([], models=models) as server:
        client = ChatClient(Endpoint(base_url=server.url, model="judge", key_env="TEST_KEY"))
        assert client.served_models() == ["judge", "org/judge-7b"]
        client.close()


def test_listing_models_of_an_absent_server_says_where_it_looked():
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m", key_env="TEST_KEY")
    client = ChatClient(endpoint)
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9"):
        client.served_models()
    client.close()


def test_a_missing_key_names_the_variable_before_any_request():
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        Endpoint(base_url="http://127.0.0.1:9/v1", model="m", key_env="NO_SUCH_KEY").check()


def test_a_server_without_keys_needs_none():
    Endpoint(base_url="http://127.0.0.1:9/v1", model="m", key_env="").check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://host/v1"}, "base_url"),
        ({"base_url": "https://user:secret@host/v1"}, "credentials"),
        ({"model": ""}, "model"),
        ({"attempts": 0}, "attempts"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"budget_s": float("inf")}, "budget_s"),
        ({"per_minute": -1.0}, "per_minute"),
        ({"usd_per_million_in": -1.0}, "prices"),
        ({"max_usd": 1.0}, "usd_per_million_in"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Endpoint(**{"base_url": "https://host/v1", "model": "m", **options})


def test_each_result_is_handed_over_as_soon_as_it_is_there():
    gate = threading.Event()
    seen = {}

    def hand_over(position, result):
        seen[position] = result
        gate.set()  # only now may the first request be answered

    def script(body):
        first = body["messages"][0]["content"] == "first"
        return fake.reply("late", gate=gate) if first else fake.status(400)

    with fake.FakeOpenAI(script) as server:
        client = ChatClient(Endpoint(base_url=server.url, model="fake-model", key_env=""))
        requests = [
            ChatRequest([{"role": "user", "content": text}]) for text in ("first", "second")
        ]
        results = client.complete(requests, on_result=hand_over)
    assert list(seen) == [1, 0]
    assert [seen[0], seen[1]] == results
    assert results[1].kind == "request"
