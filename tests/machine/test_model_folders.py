from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from phybench.errors import ConfigError
from phybench.machine.devices import resolve_device, resolve_dtype
from phybench.machine.model_folders import (
    Checkpoint,
    find_checkpoint,
    find_model,
    folder_digest,
    has_chat_template,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    return model


def test_a_folder_is_identified_by_what_is_in_it(folder):
    before = find_model(str(folder))
    assert (before.name, before.path) == ("model", folder)
    (folder / "model.safetensors").write_bytes(b"weighty")
    assert find_model(str(folder)).revision != before.revision


def test_training_states_cards_and_hidden_files_do_not_count(folder):
    before = folder_digest(folder)
    (folder / ".lock").write_text("x")
    (folder / "checkpoint-500").mkdir()
    (folder / "checkpoint-500" / "optimizer.pt").write_bytes(b"x")
    (folder / "README.md").write_text("What it is worth.")
    assert folder_digest(folder) == before
    (folder / "tokenizer.json").write_text("{}")
    assert folder_digest(folder) != before


def test_a_large_file_is_read_once_until_it_changes(folder, tmp_path):
    large = folder / "model.safetensors"
    large.write_bytes(b"a" * 2**24)
    before = folder_digest(folder)
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    assert note.read_text() == hashlib.sha256(b"a" * 2**24).hexdigest()
    note.write_text("f" * 64)
    assert folder_digest(folder) != before  # the note is believed
    large.write_bytes(b"b" * 2**24)
    os.utime(large, ns=(1, 1))
    assert len(list((tmp_path / "cache" / "digests").iterdir())) == 1
    folder_digest(folder)
    assert len(list((tmp_path / "cache" / "digests").iterdir())) == 2


def test_a_downloaded_hub_id_is_its_commit(tmp_path):
    """The layout of the hub's cache, read in a process that could reach no network."""
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    code = (
        "from phybench.machine.model_folders import find_model; "
        "found = find_model('owner/name'); print(found.name, found.revision)"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["owner/name", COMMIT]


@pytest.mark.parametrize("name", ["owner/name", "name"])
def test_a_hub_id_is_also_looked_for_among_the_users_checkpoints(
    name, folder, tmp_path, monkeypatch
):
    """With and without its owner, before the hub's cache; a commit is the hub's business."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PHYBENCH_CHECKPOINTS", str(tmp_path / "mine"))
    assert find_checkpoint("owner/name") is None
    with pytest.raises(ConfigError, match=f"{tmp_path / 'mine'}.* and {tmp_path / 'hub'}"):
        find_model("owner/name")
    there = tmp_path / "mine" / name
    there.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(there)
    assert find_checkpoint("owner/name") == Checkpoint(there, "local")
    assert find_model("owner/name").revision.startswith("sha256:")
    assert find_checkpoint("owner/name", COMMIT) is None


@pytest.mark.parametrize(
    ("model", "revision", "message"),
    [
        ("owner/name", "v1", "hf download owner/name --revision v1"),
        ("a/b/c", "", "a model folder or a hub id"),
        ("./nowhere", "", "a model folder or a hub id"),
        ("name", "", "a model folder or a hub id"),
        ("own er/name", "", "hf download"),
    ],
)
def test_what_is_not_here_is_named(model, revision, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        find_model(model, revision)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"hold a `config\.json`"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_chat_templates_are_found_where_checkpoints_keep_them(folder, name):
    assert not has_chat_template(folder)
    (folder / name).write_text(json.dumps({"chat_template": "{{ x }}"}))
    assert has_chat_template(folder)


def test_device_and_dtype(monkeypatch):
    assert resolve_device("cuda") == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resolve_device("auto") == "cpu"
    assert resolve_dtype("auto", "cpu") == "float32"
    assert resolve_dtype("auto", "cuda") == "bfloat16"
    assert resolve_dtype("float16", "cpu") == "float16"
