"""Uploads by the hub's own client, over HTTP to a server on this machine."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from phybench.cli.train import app
from phybench.errors import ConfigError
from phybench.refiners.phyprompt import CheckpointCard, write_card
from phybench.training.recipe.recipe import load_recipe
from phybench.training.setup import claim

TOKEN = "hf_not-a-real-token"
COMMIT = "https://huggingface.co/me/mini/commit/1"
"""The client wants an address of the hub in the answer; it does not go there."""


class Hub(BaseHTTPRequestHandler):
    """Repositories, preupload and commit, as far as small files need them."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.server.refuse:
            self._answer(403, {"error": "no write access"})
        elif self.path.endswith("/repos/create"):
            self.server.created.append(json.loads(body))
            self._answer(200, {"url": "https://huggingface.co/me/mini"})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in names]
            self._answer(200, {"files": modes})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    content = base64.b64decode(row["value"]["content"])
                    self.server.files[row["value"]["path"]] = content
            self._answer(200, {"commitUrl": COMMIT, "commitOid": "1"})
        else:
            self._answer(200, {"errors": [], "warnings": []})

    def _answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    pytest.importorskip("huggingface_hub", reason="the extra `train` is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.created, server.files, server.refuse = [], [], {}, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def trained(workplace):
    """The files of a finished stage 2, and of stage 1's data."""
    recipe = load_recipe("phyprompt-mini")
    work = claim(recipe.final, "grpo", recipe)
    (recipe.final / "model.safetensors").write_bytes(b"weights")
    (work / "checkpoint-20").mkdir()
    (work / "checkpoint-20" / "optimizer.pt").write_bytes(b"state")
    write_card(
        recipe.final,
        CheckpointCard(size="mini", stage="grpo", system_prompt="Physics.", base_model="scratch"),
    )
    data = claim(recipe.start, "sft", recipe)
    (data / "cot.jsonl").write_text('{"prompt": "a"}\n')
    (data / "cot-card.json").write_text('{"rows": 1, "sha256": "ab"}')
    return recipe


def push(*options):
    return CliRunner().invoke(app, ["push", "phyprompt-mini", "--to", "me/mini", *options])


def test_a_checkpoint_goes_up_with_its_card_and_recipe_and_without_states(hub, trained):
    result = push()
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout.strip() == COMMIT
    assert set(hub.files) == {"README.md", "model.safetensors", "phyprompt.json", "recipe.json"}
    assert hub.files["model.safetensors"] == b"weights"
    assert json.loads(hub.files["recipe.json"])["stage"] == "grpo"
    card = hub.files["README.md"].decode()
    assert "whose authors released no weights" in card
    assert "tabletop judged by kinematic" in card
    assert hub.created[0]["name"] == "mini"
    assert "private" in json.dumps(hub.created[0])
    assert {token for _, token in hub.asked} == {f"Bearer {TOKEN}"}
    assert any("/api/models/me/mini/commit/" in path for path, _ in hub.asked)


def test_data_goes_up_with_its_counts(hub, trained):
    assert push("--what", "data").exit_code == 0
    assert set(hub.files) == {"README.md", "train.jsonl", "cot-card.json"}
    assert '"sha256": "ab"' in hub.files["README.md"].decode()
    assert any("/api/datasets/me/mini/commit/" in path for path, _ in hub.asked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--what", "sft"], "finished checkpoint of `sft`"),
        (["--what", "all"], "`--what` to be grpo, sft or data"),
        (["--what", "data", "--set", "data.source=phygenbench"], "no licence"),
        (["--what", "data", "--set", "output=elsewhere"], "Expected stage 1's data"),
    ],
)
def test_what_cannot_be_uploaded_is_named_before_the_hub_is_asked(hub, trained, options, message):
    error = push(*options).exception
    assert isinstance(error, ConfigError)
    assert message in str(error)
    assert hub.asked == []


def test_a_refusal_and_a_missing_token_are_said(hub, trained, monkeypatch):
    hub.refuse = True
    assert "Cannot upload to 'me/mini'" in str(push().exception)
    hub.asked.clear()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN_PATH", "none")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "HF_TOKEN" in str(push().exception)
    assert hub.asked == []
