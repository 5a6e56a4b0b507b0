from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

import openai
import pytest

from phybench.plugins.contracts import Failure, PluginInfo, Refinement
from phybench.prompts.seeds import prompt_seed
from phybench.refiners.serving.server import RefinerServer


class Echo:
    """A refiner for this test: repeats, and fails where told to."""

    info = PluginInfo(name="echo", revision="1", licence="Apache-2.0", fingerprint={})

    def refine(self, prompts, seeds):
        return [self._one(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _one(self, prompt, seed):
        if prompt.startswith("fail"):
            return Failure("refusal", "Not this.", retryable=prompt.endswith("later"))
        return Refinement(f"{prompt} ({seed})", reasoning="because", tokens=3)


@contextmanager
def serving(**options):
    server = RefinerServer(Echo(), **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def ask(server, text, *, key="none", **options):
    client = openai.OpenAI(base_url=server.url, api_key=key, max_retries=0)
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": text}]
    return client.chat.completions.create(model="echo", messages=messages, **options)


def post(server, body):
    request = urllib.request.Request(f"{server.url}/chat/completions", body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    return error.value.code, json.loads(error.value.read())["error"]["message"]


def test_the_openai_sdk_gets_the_refinement():
    with serving() as server:
        found = ask(server, "a ball", seed=7, n=2)
        assert [choice.message.content for choice in found.choices] == [
            f"a ball ({prompt_seed(7, 'a ball', k)})" for k in range(2)
        ]
        assert found.choices[0].message.model_extra["reasoning"] == "because"
        assert found.usage.completion_tokens == 6
        models = openai.OpenAI(base_url=server.url, api_key="none").models.list()
        assert [model.id for model in models] == ["echo"]


@pytest.mark.parametrize(("text", "status"), [("fail", 422), ("fail later", 503)])
def test_a_failure_is_an_error_and_never_the_prompt(text, status):
    with serving() as server, pytest.raises(openai.APIStatusError) as error:
        ask(server, text)
    assert error.value.status_code == status
    assert "Not this." in str(error.value)


def test_the_key_is_asked_for():
    with serving(key="secret") as server:
        assert ask(server, "a ball", key="secret").choices
        with pytest.raises(openai.AuthenticationError):
            ask(server, "a ball", key="wrong")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no json", "Invalid JSON"),
        (b"{}", "messages"),
        (b'{"messages": []}', "a user message"),
        (b'{"messages": [{"role": "user", "content": " "}]}', "a user message"),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": true}', "no `stream`"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 99}', "n:"),
    ],
)
def test_other_requests_are_refused(body, message):
    with serving() as server:
        status, said = post(server, body)
    assert status == 400
    assert message in said


def test_a_body_without_bound_is_refused():
    with serving() as server:
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Length", str(2**20 + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
