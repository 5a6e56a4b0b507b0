"""Finding a checkpoint, naming what is missing, and telling checkpoints apart."""

from __future__ import annotations

import json
import shutil

import pytest
import tools.models.owl_checkpoint as tiny

torch = pytest.importorskip("torch")

from phybench.errors import ConfigError
from phybench.judges.mplug_owl.files import Published, find_files

PUBLISHED = Published("owner/judge", 14.3, "MIT; LLaMA-1 is non-commercial")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = tiny.sizes()
    return tiny.write_checkpoint(
        tmp_path_factory.mktemp("judge"), config, tiny.random_state(config)
    )


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No checkpoint folder and an empty hub cache."""
    monkeypatch.delenv("PHYBENCH_CHECKPOINTS", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


def test_absent_weights_are_named_with_size_licence_and_where_they_come_from(nowhere):
    with pytest.raises(ConfigError) as caught:
        find_files("owner/judge", PUBLISHED)
    message = str(caught.value)
    for part in ("14.3 GB", "LLaMA-1 is non-commercial", "owner/judge", str(nowhere / "hf")):
        assert part in message


@pytest.mark.parametrize("style", ["owner/name", "name"])
def test_the_checkpoint_folder_of_the_environment_is_searched(
    checkpoint, nowhere, monkeypatch, style
):
    monkeypatch.setenv("PHYBENCH_CHECKPOINTS", str(nowhere))
    target = nowhere / ("owner/judge" if style == "owner/name" else "judge")
    shutil.copytree(checkpoint, target)
    assert find_files("owner/judge", PUBLISHED).folder == target


def test_the_hub_cache_is_searched_and_gives_the_commit(checkpoint, nowhere):
    hub = nowhere / "hf/hub/models--owner--judge"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs/main").write_text("abc123")
    shutil.copytree(checkpoint, hub / "snapshots/abc123")
    files = find_files("owner/judge", PUBLISHED)
    assert files.revision == "abc123"
    assert len(files.weights) == 3


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.model", "pytorch_model-00002-of-00003.bin"]
)
def test_a_missing_file_is_named(checkpoint, tmp_path, name):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=name):
        find_files(str(folder), PUBLISHED)


def test_a_folder_without_weights_says_which_files_it_could_have(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    for path in folder.glob("pytorch_model*"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin"):
        find_files(str(folder), PUBLISHED)


def test_an_index_may_not_point_out_of_its_folder(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    index = {"weight_map": {"query_tokens": "../elsewhere.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="own folder"):
        find_files(str(folder), PUBLISHED)


@pytest.mark.parametrize(
    "content", ['{"model_type": "llama"}', "[]", "{", '{"vision_config": {"hidden_size": -1}}']
)
def test_another_models_configuration_is_refused(checkpoint, tmp_path, content):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    (folder / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        find_files(str(folder), PUBLISHED)


@pytest.mark.parametrize("layout", ["shards", "single", "safetensors", "safe-shards"])
def test_the_digest_follows_the_weights_not_the_place(tmp_path, layout):
    config = tiny.sizes()
    first = tiny.write_checkpoint(tmp_path / "a", config, tiny.random_state(config, 1), layout)
    moved = shutil.copytree(first, tmp_path / "b")
    digest = find_files(str(first), PUBLISHED).digest()
    assert find_files(str(moved), PUBLISHED).digest() == digest
    changed = tiny.random_state(config, 1)
    changed["abstractor.vit_eos"][0, 0, 0] += 1
    tiny.write_weights(moved, changed, layout)
    assert find_files(str(moved), PUBLISHED).digest() != digest
