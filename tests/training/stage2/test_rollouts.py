"""Rollouts with vLLM: what is refused before a model is loaded.

The real thing: `tox -e vllm-train`.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

from phybench.errors import ConfigError, MissingExtraError
from phybench.training.stage2.grpo import grpo_config, train_grpo
from phybench.training.stage2.rollouts import check_vllm

READY = {
    "model_config": {"logprobs_mode": "processed_logprobs"},
    "weight_transfer_config": {"backend": "nccl"},
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An empty package of vLLM's name, enough to be found."""
    if find_spec("vllm") is None:
        (tmp_path / "site" / "vllm").mkdir(parents=True)
        (tmp_path / "site" / "vllm" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.fixture
def served(installed):
    """A function that starts a server which gives this account of itself; ``None`` is a 404."""
    servers = []

    def serve(account):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                known = account is not None and self.path == "/server_info?config_format=json"
                self.send_response(200 if known else 404)
                self.end_headers()
                self.wfile.write(json.dumps(account).encode() if known else b"")

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def on_server(tiny, folder, address):
    return tiny(folder, f"grpo.vllm={{mode: server, base_url: '{address}'}}")


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_nothing_is_loaded(tiny, tmp_path):
    recipe = tiny(tmp_path, "grpo.vllm={mode: colocate}")
    with pytest.raises(MissingExtraError, match=r"`grpo.vllm` needs `vllm`.*phybench\[vllm\]"):
        train_grpo(recipe, tiny.notes.append)
    assert not recipe.final.exists()


def test_a_recipe_without_vllm_needs_none(tiny, tmp_path):
    check_vllm(tiny(tmp_path).grpo.vllm)


def test_a_server_that_is_ready_is_taken(tiny, tmp_path, served):
    for end in ("", "/"):
        address = served({"vllm_config": READY}) + end
        check_vllm(on_server(tiny, tmp_path, address).grpo.vllm)


@pytest.mark.parametrize(
    ("account", "message"),
    [
        (None, r"development endpoints .* but it answered 404\. .*VLLM_SERVER_DEV_MODE=1 vllm"),
        (
            {"vllm_config": {**READY, "weight_transfer_config": None}},
            "started without `--weight-transfer-config`",
        ),
        (
            {"vllm_config": {**READY, "model_config": {"logprobs_mode": "raw_logprobs"}}},
            "`--logprobs-mode` is raw_logprobs",
        ),
        ({"something": "else"}, "Expected a vLLM server at .* but got: 'vllm_config'"),
    ],
)
def test_a_server_that_cannot_serve_training_is_refused(tiny, tmp_path, served, account, message):
    recipe = on_server(tiny, tmp_path, served(account))
    with pytest.raises(ConfigError, match=message):
        train_grpo(recipe, tiny.notes.append)
    assert not recipe.final.exists()


def test_a_server_that_is_not_there_is_named(tiny, tmp_path, served, installed):
    recipe = on_server(tiny, tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"vLLM server at 'http://127\.0\.0\.1:1' .*vllm serve"):
        train_grpo(recipe, tiny.notes.append)


def test_a_servers_memory_is_its_own(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"`memory` only with `mode: colocate`, but got 0\.5"):
        tiny(tmp_path, "grpo.vllm={mode: server, base_url: 'http://a', memory: 0.5}")


@pytest.mark.parametrize(
    "options",
    ["mode: server", "mode: colocate, base_url: 'http://a'", "mode: server, base_url: 'a:8000'"],
)
def test_an_address_goes_with_a_server_and_only_there(tiny, tmp_path, options):
    with pytest.raises(ConfigError, match="base_url"):
        tiny(tmp_path, f"grpo.vllm={{{options}}}")


def test_the_trainer_is_told_what_the_recipe_says(tiny, tmp_path):
    recipe = tiny(tmp_path, "grpo.vllm={mode: colocate, memory: 0.2, correction: false}")
    config = grpo_config(recipe, tmp_path)
    assert (config.use_vllm, config.vllm_mode) == (True, "colocate")
    assert config.vllm_gpu_memory_utilization == 0.2
    assert config.vllm_importance_sampling_correction is False
    address = "http://127.0.0.1:1"
    config = grpo_config(on_server(tiny, tmp_path, address), tmp_path)
    assert (config.vllm_mode, config.vllm_server_base_url) == ("server", address)
    assert config.vllm_importance_sampling_correction is True
    assert grpo_config(tiny(tmp_path), tmp_path).use_vllm is False
