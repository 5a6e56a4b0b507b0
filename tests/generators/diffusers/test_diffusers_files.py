"""Which files a pipeline needs, and what it says without them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools.models.diffusers_presets import GUARDED, Make, frames_of

from phybench.errors import ConfigError
from phybench.generators.diffusers.plugin import DiffusersVideo
from phybench.plugins.contracts import ClipRequest
from phybench.plugins.registry import create


def test_missing_weights_are_listed_with_size_and_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ConfigError) as caught:
        create("generator", "cogvideox")
    message = str(caught.value)
    assert "about 13.8 GB" in message
    assert "transformer/  3.39 GB" in message
    assert str(tmp_path / "hub" / "models--THUDM--CogVideoX-2b") in message
    assert "hf download THUDM/CogVideoX-2b" in message
    assert "phybench run -g tabletop" in message


def test_missing_weights_stop_early_without_importing_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from phybench.errors import ConfigError\n"
        "from phybench.plugins.registry import create\n"
        "try: create('generator', 'cogvideox')\n"
        "except ConfigError: pass\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules\n"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("vae", "vae/"),
        ("transformer/*.safetensors", r"transformer/\*.safetensors"),
        ("model_index.json", "model_index.json"),
    ],
)
def test_half_a_checkpoint_names_what_it_lacks(
    saved: Callable[[str], dict[str, Any]], tmp_path: Path, gone: str, said: str
) -> None:
    folder = tmp_path / "half"
    shutil.copytree(saved("cogvideox")["model"], folder)
    for path in folder.glob(gone):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=said):
        DiffusersVideo(preset="cogvideox", model=str(folder))


def test_missing_shard_is_named(saved: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(saved("cogvideox")["model"], folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (folder / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"text_encoder/model-00001-of-00002\.safetensors"):
        DiffusersVideo(preset="cogvideox", model=str(folder))


def test_bare_sentencepiece_tokenizer_names_the_package_it_needs(
    saved: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    folder = tmp_path / "bare"
    shutil.copytree(saved("cogvideox")["model"], folder)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "spiece.model").write_bytes(b"")
    assert DiffusersVideo(preset="cogvideox", model=str(folder)).info.name == "cogvideox"
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "protobuf" in name else found(name)
    )
    with pytest.raises(ConfigError, match="pip install protobuf"):
        DiffusersVideo(preset="cogvideox", model=str(folder))


def test_licence_is_shown_with_what_it_binds_to(make: Make) -> None:
    assert "must not be used to improve any other AI model" in make("hunyuanvideo").info.licence
    assert make("hunyuanvideo").card.training_on_outputs == "forbidden"


def test_checkpoint_of_another_pipeline_is_refused(make: Make, saved: Any) -> None:
    with pytest.raises(ConfigError, match=r"checkpoint of WanPipeline .* 'CogVideoXPipeline'"):
        make("wan2.1-1.3b", model=saved("cogvideox")["model"])


def test_hub_cache_snapshot_is_found_by_id(
    saved: Callable[[str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--THUDM--CogVideoX-2b"
    shutil.copytree(saved("cogvideox")["model"], repo / "snapshots" / "abc123")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc123")
    assert DiffusersVideo(preset="cogvideox").info.revision == "abc123"


def test_local_checkpoint_never_touches_the_network(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a local checkpoint asked for the network")

    generator = make()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    frames_of(generator.generate([ClipRequest("a ball", 1)])[0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"template": "no place"}, "`template` to hold"),
        ({"device": "tpu"}, "`device` to be auto, cpu, cuda"),
        ({"guidance_2": 3.0}, "no `guidance_scale_2`"),
        ({"adapter": "x/y"}, "no `adapter`"),
        ({"frames": 10}, "8·n\\+1"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    make: Make, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make(**options)


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_cosmos_names_the_guardrail_it_may_not_run_without(name: str) -> None:
    try:
        import cosmos_guardrail  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"torchvision|cosmos_guardrail"):
            DiffusersVideo(preset=name)
    else:
        pytest.skip("cosmos_guardrail is installed")
