"""The port against a naive NumPy spelling of the architecture, and its loading rules."""

from __future__ import annotations

import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import tools.models.owl_checkpoint as tiny
from tools.places import SHARED

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tools.models.naive_owl import Naive

from phybench.errors import ConfigError
from phybench.judges.mplug_owl.config import OwlConfig
from phybench.judges.mplug_owl.files import Published, find_files
from phybench.judges.mplug_owl.weights import build_model, read_tensors

PUBLISHED = Published("owner/judge", 14.3, "MIT; LLaMA-1 is non-commercial")
SIZES = {
    "small": {},
    "deeper": {
        "queries": 3,
        "vision": {"num_hidden_layers": 3, "hidden_size": 32, "num_attention_heads": 2},
        "bridge": {"hidden_size": 32, "encoder_hidden_size": 32, "num_attention_heads": 4},
        "text": {"num_hidden_layers": 1, "hidden_size": 24, "num_attention_heads": 2},
    },
    "wide-ffn": {"bridge": {"intermediate_size": 500, "num_hidden_layers": 1}},
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def model_of(config, state, **options):
    arguments = {"device": "cpu", "dtype": torch.float32, **options}
    return build_model(OwlConfig.model_validate(config), state.items(), **arguments)


def moving_pixels(config, frames=3):
    side = config["vision_config"]["image_size"]
    return np.random.default_rng(5).normal(size=(3, frames, side, side))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_vision_and_abstractor_equal_the_naive_spelling(name, frames):
    config = tiny.sizes(**SIZES[name])
    state = tiny.random_state(config, seed=3)
    model, naive = model_of(config, state), Naive(config, state)
    pixels = moving_pixels(config, frames)
    with torch.inference_mode():
        states = model.vision(torch.from_numpy(pixels).float()[None])
        media = model.abstractor(states)[0].numpy()
    np.testing.assert_allclose(states[0].numpy(), naive.vision(pixels), atol=2e-5)
    np.testing.assert_allclose(media, naive.media(naive.vision(pixels)), atol=5e-5)


@pytest.mark.parametrize("name", SIZES)
def test_logits_equal_the_naive_spelling(name):
    config = tiny.sizes(**SIZES[name])
    state = tiny.random_state(config, seed=4)
    model, naive = model_of(config, state), Naive(config, state)
    pixels = moving_pixels(config)
    ids = [1, 300, 301, *[-2] * (config["num_query_tokens"] + 1), 302, 303, 17]
    with torch.inference_mode():
        media = model.encode(torch.from_numpy(pixels).float()[None])
        scores = model.logits(torch.tensor([ids]), media)[0].numpy()
    expected = naive.logits(ids, naive.media(naive.vision(pixels)))
    np.testing.assert_allclose(scores, expected, atol=2e-4)


def test_each_clip_of_a_batch_is_encoded_as_if_alone():
    config = tiny.sizes()
    model = model_of(config, tiny.random_state(config))
    pixels = torch.randn(4, 3, 6, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = model.encode(pixels)
        alone = torch.cat([model.encode(clip[None]) for clip in pixels])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_rotary_table_is_computed_not_loaded():
    config = tiny.sizes()
    model = model_of(config, tiny.random_state(config), dtype=torch.bfloat16)
    width = config["text_config"]["hidden_size"] // config["text_config"]["num_attention_heads"]
    expected = [10000 ** (-2 * i / width) for i in range(width // 2)]
    table = model.language.model.rotary_emb.inv_freq
    assert table.dtype == torch.float32
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-6)
    weights = {parameter.dtype for parameter in model.parameters()}
    assert weights == {torch.bfloat16}


@pytest.mark.parametrize("layout", ["shards", "single", "safetensors", "safe-shards"])
def test_every_public_layout_gives_the_same_model(tmp_path, layout):
    config = tiny.sizes()
    state = tiny.random_state(config, seed=7)
    files = find_files(str(tiny.write_checkpoint(tmp_path, config, state, layout)), PUBLISHED)
    loaded = build_model(
        files.config, read_tensors(files.weights), device="cpu", dtype=torch.float32
    )
    direct = model_of(config, state).state_dict()
    assert loaded.state_dict().keys() == direct.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, direct[name]), name


def test_a_legacy_pickle_of_tensors_loads_too(tmp_path):
    config = tiny.sizes()
    state = tiny.random_state(config)
    tiny.write_checkpoint(tmp_path, config, state, "single")
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    files = find_files(str(tmp_path), PUBLISHED)
    build_model(files.config, read_tensors(files.weights), device="cpu", dtype=torch.float32)


class Harmful:
    """Would create a file if a loader unpickled it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    config = tiny.sizes()
    tiny.write_checkpoint(tmp_path, config, tiny.random_state(config), "single")
    trace = tmp_path / "executed"
    with (tmp_path / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"query_tokens": Harmful(str(trace))}, file, protocol=2)
    files = find_files(str(tmp_path), PUBLISHED)
    with pytest.raises(ConfigError, match="plain tensors"):
        list(read_tensors(files.weights))
    assert not trace.exists()


def broken(state, change):
    state = dict(state)
    key = "vision_model.encoder.layers.1.mlp.fc1.weight"
    if change == "missing":
        del state[key]
    elif change == "unknown":
        state["vision_model.encoder.layers.1.adapter.weight"] = state[key]
    elif change == "shape":
        state[key] = state[key][:-1]
    return state


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("missing", "vision.layers.1.block.mlp.fc1.weight"),
        ("unknown", "vision_model.encoder.layers.1.adapter.weight"),
        ("shape", "vision_model.encoder.layers.1.mlp.fc1.weight"),
    ],
)
def test_a_key_that_does_not_fit_is_named(change, named):
    config = tiny.sizes()
    with pytest.raises(ConfigError, match=re.escape(named)):
        model_of(config, broken(tiny.random_state(config), change))


def test_a_key_in_two_shards_is_named(tmp_path):
    config = tiny.sizes()
    state = tiny.random_state(config)
    tiny.write_checkpoint(tmp_path, config, state)
    files = find_files(str(tmp_path), PUBLISHED)
    second = torch.load(files.weights[1], weights_only=True)
    torch.save({**second, "query_tokens": state["query_tokens"]}, files.weights[1])
    with pytest.raises(ConfigError, match="query_tokens"):
        list(read_tensors(files.weights))


def real_size_keys():
    """The public checkpoint's key list, from the facts if they are here, else by its sizes."""
    path = SHARED / "facts/keys/videophy2_auto.json"
    if path.is_file():
        return json.loads(path.read_text())
    pytest.skip("the public key list (../shared/facts/keys/videophy2_auto.json) is not here")


REAL = {
    "vision": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
    },
    "bridge": {
        "hidden_size": 1024,
        "encoder_hidden_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "text": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
}


def load_on_meta(shapes):
    config = tiny.sizes(queries=64, **REAL)
    tensors = {key: torch.empty(tuple(shape), device="meta") for key, shape in shapes.items()}
    return model_of(config, tensors, device="meta", dtype=torch.bfloat16)


def test_the_real_size_keys_fill_the_real_size_model():
    keys = real_size_keys()
    assert len(keys) == 949
    model = load_on_meta(keys)
    # 32 rotary buffers are in the files and not in the model.
    stored = sum(math.prod(shape) for key, shape in keys.items() if "inv_freq" not in key)
    assert sum(parameter.numel() for parameter in model.parameters()) == stored


def test_the_real_sizes_load_without_the_key_list_too():
    shapes = tiny.key_shapes(tiny.sizes(queries=64, **REAL))
    assert len(shapes) == 949
    assert sum(p.numel() for p in load_on_meta(shapes).parameters()) == 7_152_635_904 - 32 * 64


def test_what_a_saved_config_leaves_out_has_the_originals_defaults():
    whole = tiny.sizes(queries=64, **REAL)
    left_out = {"model_type": "mplug-owl", "text_config": {"pad_token_id": None}}
    assert OwlConfig.model_validate(left_out) == OwlConfig.model_validate(
        {**whole, "visual_abstractor_config": {"intermediate_size": 4096}}
    )
    config = tiny.sizes()
    del config["visual_abstractor_config"]["encoder_hidden_size"]
    model_of(config, tiny.random_state(config))


def test_a_tied_output_layer_may_be_left_out():
    config = tiny.sizes(text={"tie_word_embeddings": True})
    state = tiny.random_state(config)
    del state["language_model.lm_head.weight"]
    model = model_of(config, state)
    embeddings = state["language_model.model.embed_tokens.weight"].float()
    assert torch.equal(model.language.lm_head.weight, embeddings)
    assert torch.equal(model.language.get_input_embeddings().weight, embeddings)
    with pytest.raises(ConfigError, match=r"language\.lm_head\.weight"):
        model_of(tiny.sizes(), state)


@pytest.mark.parametrize(("intermediate", "width"), [(4096, 2816), (2816, 2816), (96, 256)])
def test_the_gated_width_follows_the_original_rule(intermediate, width):
    config = OwlConfig.model_validate(tiny.sizes(bridge={"intermediate_size": intermediate}))
    assert config.visual_abstractor_config.ffn_width == width


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_quantised_weights_change_the_scores_a_little_only(quantize):
    pytest.importorskip("bitsandbytes")
    from phybench.judges.mplug_owl.quantize import quantize_language

    config = tiny.sizes(text={"hidden_size": 64, "intermediate_size": 128})
    state = tiny.random_state(config)
    media = torch.randn(1, 6, 64, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[1, 300, *[-2] * 6, 301, 17]])
    plain = model_of(config, state)
    small = quantize_language(model_of(config, state), quantize, torch.float32).to("cpu")
    with torch.inference_mode():
        exact, rounded = plain.logits(ids, media), small.logits(ids, media)
    difference = (exact - rounded).std() / exact.std()
    assert 0 < difference < (0.1 if quantize == "8bit" else 0.4)
