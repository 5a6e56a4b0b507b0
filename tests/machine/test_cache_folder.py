"""``--cache`` holds for everything that a command writes: nested refiners and paid replies too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("httpx", reason="the extra `api` is not installed")

from tools.harness import write_prompts
from tools.services.fake_openai import FakeOpenAI, reply

from phybench.cli.main import app
from phybench.machine.folders import cache_folder, default_folder


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_nested_plugins_write_to_the_cache_that_the_command_was_given(
    examples, tmp_path, monkeypatch, executor
):
    default, given = tmp_path / "default", tmp_path / "given"
    monkeypatch.setenv("PHYBENCH_CACHE", str(default))
    texts = iter(range(1000))

    def script(_):
        text = {"reasoning": "It rolls.", "prompt": f"Video {next(texts)} of a ball."}
        return reply(json.dumps(text))

    prompts = write_prompts(examples, 2)
    with FakeOpenAI(script) as server:
        inner = f"chat:base_url={server.url},model=m,key_env="
        arm = f"best-of-n:refiner=[{inner}],generator=bar,by=brightness,n=2"
        arms = ["-r", arm, "-g", "bar", "-j", "brightness", "--seeds", "1"]
        where = ["-p", str(prompts), "-o", str(tmp_path / "out"), "--cache", str(given)]
        done = CliRunner().invoke(app, ["run", *arms, *where, "--executor", executor, "--no-plots"])
    assert done.exit_code == 0, done.output
    assert not default.exists()
    assert list((given / "replies").glob("*.jsonl"))
    assert default_folder() == default, "the next command has its own cache"


def test_a_chosen_folder_holds_for_its_block_and_nests(monkeypatch, tmp_path):
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path))
    with cache_folder(Path("a")):
        with cache_folder(None):
            assert default_folder() == Path("a").absolute()
        with cache_folder(tmp_path / "b"):
            assert default_folder() == tmp_path / "b"
    assert default_folder() == tmp_path
