from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools.models.lavie_checkpoint import (
    BLOCK,
    FREQUENCIES,
    checkpoint,
    config,
    random_unet,
    write_checkpoint,
)
from tools.places import SHARED

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import tools.models.original_names as names
import torch

from phybench.errors import ConfigError
from phybench.generators.ports.clip_text import fit
from phybench.generators.ports.lavie import model as model_of
from phybench.generators.ports.lavie.plugin import lavie
from phybench.generators.ports.lavie.temporal import (
    ClipGroupNorm,
    ClipLayout,
    RotaryEmbedding,
    distance_bucket,
)
from phybench.plugins.contracts import ClipRequest, Failure, Frames, VideoSettings

__all__ = ["checkpoint"]  # a fixture

PARITY = SHARED / "parity" / "lavie"
needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="no ../shared/parity/lavie")
needs_keys = pytest.mark.skipif(not (SHARED / "facts/keys").is_dir(), reason="no ../shared/facts")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make(checkpoint: Path, **options: Any) -> Any:
    small = {"frames": 3, "width": 16, "height": 8, "steps": 2, "device": "cpu"}
    return lavie(**{"model": str(checkpoint), **small, **options})


# --- the original's outputs ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def original() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    from safetensors.torch import load_file

    folder = PARITY / "checkpoint"
    networks = model_of.load_lavie_networks(
        folder / "lavie_base.pt", folder / "stable-diffusion-v1-4"
    )
    expected = load_file(PARITY / "expected.safetensors")
    return networks, expected, json.loads((PARITY / "expected.json").read_text())


def close(value: Any, expected: Any, tolerance: float) -> None:
    assert value.shape == expected.shape
    assert float((value - expected).abs().max()) <= tolerance


@needs_parity
def test_networks_agree_with_the_original(original: Any) -> None:
    networks, expected, _ = original
    text = expected["text_emb"]
    with torch.no_grad():
        close(networks.encode_text(expected["text_ids"]), text, 1e-5)
        out = networks.predict_noise(expected["unet_x"], expected["unet_t"], text)
        close(out, expected["unet_out"], 2e-5)
        close(
            networks.predict_noise(expected["unet16_x"], 20, text[:1]), expected["unet16_out"], 2e-5
        )


@needs_parity
def test_temporal_attention_agrees_with_the_original(original: Any) -> None:
    networks, expected, _ = original
    attention = networks.unet.get_submodule(f"{BLOCK}.attn_temp")
    with torch.no_grad():
        close(attention(expected["attn_temp_in"]), expected["attn_temp_out"], 1e-5)
        assert torch.equal(attention.time_rel_pos_bias(16), expected["rel_pos_bias_16"])
        close(attention.rotary_emb(expected["rotary_in"]), expected["rotary_out"], 1e-6)
    assert torch.equal(distance_bucket(torch.arange(-39, 40)), expected["rel_pos_bucket_40"])


@needs_parity
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_clip_agrees_with_the_original(original: Any, sampler: Any) -> None:
    networks, expected, facts = original
    told = facts[sampler]
    scheduler = model_of.make_scheduler(sampler, told["steps"])
    assert scheduler.timesteps.tolist() == told["timesteps"]
    shape = expected[f"{sampler}_x_T"].shape
    with torch.no_grad():
        out = networks.sample(
            shape,
            expected["text_emb"],
            told["guidance_scale"],
            scheduler,
            torch.Generator().manual_seed(told["generator_seed"]),
        )
    close(out, expected[f"{sampler}_latents_final"], 5e-3)
    plugin = lavie(
        model=str(PARITY / "checkpoint"),
        frames=told["frames"],
        width=told["width"],
        height=told["height"],
        sampler=sampler,
        steps=told["steps"],
        device="cpu",
        guidance=told["guidance_scale"],
    )
    clip = plugin.generate([ClipRequest(facts["prompt"], told["generator_seed"])])[0]
    assert isinstance(clip, Frames)
    want = expected[f"{sampler}_video_u8"][0].numpy()
    assert np.abs(clip.frames.astype(int) - want).max() <= 1


@needs_parity
def test_tokens_and_schedules_agree_with_the_original(original: Any) -> None:
    _, expected, facts = original
    plugin = lavie(model=str(PARITY / "checkpoint"), device="cpu")
    for text, row in zip((facts["prompt"], ""), expected["text_ids"].tolist(), strict=True):
        ids = plugin.model.ids(text)
        assert fit(ids, ids[-1]) == row
    assert model_of.make_scheduler("ddpm", 50).timesteps.tolist() == facts["ddpm50_timesteps"]
    ddim = model_of.make_scheduler("ddim", 50)
    assert ddim.timesteps.tolist() == facts["ddim50_timesteps"]
    assert float(ddim.final_alpha_cumprod) == pytest.approx(facts["ddim_final_alpha_cumprod"])
    kept = model_of.make_scheduler("ddpm", 50).alphas_cumprod
    for step, value in facts["ddpm_alphas_cumprod"].items():
        assert float(kept[int(step)]) == pytest.approx(value, rel=1e-5)
    euler = model_of.make_scheduler("eulerdiscrete", 50)
    assert euler.timesteps[:3].tolist() == pytest.approx(facts["euler50_timesteps_head"])
    assert euler.sigmas[:3].tolist() == pytest.approx(facts["euler50_sigmas_head"])


# --- the same without the original ---------------------------------------------------------------


def test_schedule_golden_numbers() -> None:
    """Linear betas 1e-4…0.02: ac[0] = 0.9999; 50 steps of stride 20, from 0 (ddpm) or 1 (ddim)."""
    ddpm = model_of.make_scheduler("ddpm", 50)
    assert ddpm.timesteps.tolist() == list(range(980, -1, -20))
    assert float(ddpm.alphas_cumprod[0]) == pytest.approx(0.9999)
    assert model_of.make_scheduler("ddim", 50).timesteps.tolist() == list(range(981, 0, -20))


def test_buckets_are_exact_near_and_logarithmic_far() -> None:
    """|n| < 8 exact; 8 + ⌊8·ln(n/8)/ln 4⌋ up to 15 beyond; keys later than the query from 16."""
    past = distance_bucket(-torch.arange(40))
    assert past[:16].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 10, 10, 11, 11]
    assert past[-1] == 15
    assert torch.equal(distance_bucket(torch.arange(1, 40)), past[1:] + 16)


def test_rotation_turns_pairs_by_frame_times_frequency() -> None:
    """At frame f a pair (1, 0) becomes (cos f·w, sin f·w); channels from 32 on stay."""
    rotary = RotaryEmbedding()
    rotary.freqs.data = FREQUENCIES.clone()
    states = torch.zeros(1, 4, 40)
    states[..., 0:32:2] = 1
    states[..., 32:] = 7
    turned = rotary(states).detach()
    angles = torch.arange(4)[:, None] * FREQUENCIES
    assert torch.allclose(turned[0, :, 0:32:2], angles.cos(), atol=1e-6)
    assert torch.allclose(turned[0, :, 1:32:2], angles.sin(), atol=1e-6)
    assert torch.equal(turned[..., 32:], states[..., 32:])


def test_clip_norm_is_group_norm_over_all_frames_of_each_clip() -> None:
    torch.manual_seed(0)
    norm = ClipGroupNorm(torch.nn.GroupNorm(2, 4), ClipLayout(frames=3))
    frames = torch.randn(6, 4, 2, 2) * torch.arange(1, 7)[:, None, None, None]
    normed = norm(frames).detach()
    for clip in (normed[:3], normed[3:]):
        for group in (clip[:, :2], clip[:, 2:]):
            assert float(group.mean()) == pytest.approx(0, abs=1e-5)
            assert float(group.std(correction=0)) == pytest.approx(1, abs=1e-3)


@needs_keys
def test_names_are_the_published_ones() -> None:
    published = json.loads((SHARED / "facts/keys/lavie_base_unet.json").read_text())
    ours = dict(names.lavie_unet((320, 640, 1280, 1280), 2, 8, 768))
    assert ours == {name: tuple(shape) for name, shape in published.items()}


def test_real_size_loads_completely_on_the_meta_device() -> None:
    channels = (320, 640, 1280, 1280)
    with torch.device("meta"):
        tensors = {n: torch.empty(s) for n, s in names.lavie_unet(channels, 2, 8, 768)}
    assert len(tensors) == 830
    real = {**config(channels, 8, 2, 768), "norm_num_groups": 32, "sample_size": 64}
    unet, _ = model_of.load_lavie_unet(tensors, real)
    filled = sum(parameter.numel() for parameter in unet.parameters())
    assert filled == sum(tensor.numel() for tensor in tensors.values())


@pytest.mark.parametrize(
    ("channels", "layers", "heads"), [((64, 128), 1, 2), ((32, 64, 64), 2, 1), ((72, 72), 1, 2)]
)
def test_checkpoints_of_other_sizes_run_clip_by_clip(
    channels: tuple[int, ...], layers: int, heads: int
) -> None:
    """Clips in one batch do not see each other, while frames of one clip do."""
    unet, layout = model_of.load_lavie_unet(
        random_unet(channels, layers, heads), config(channels, heads, layers, 8)
    )
    networks = model_of.LaVieNetworks(unet, layout, None, None)
    side = 2 ** len(channels)
    latents, text = torch.randn(2, 4, 3, side, side), torch.randn(2, 77, 8)
    with torch.no_grad():
        both = networks.predict_noise(latents, 7, text)
        alone = networks.predict_noise(latents[:1], 7, text[:1])
        latents[0, :, 2] += 1
        moved = networks.predict_noise(latents[:1], 7, text[:1])
    assert torch.allclose(both[:1], alone, atol=1e-5)
    assert float((moved[:, :, 0] - alone[:, :, 0]).abs().max()) > 1e-4


@pytest.mark.parametrize(
    "sizes",
    [
        {"channels": (64, 64, 128, 128)},
        {"channels": (64,), "context": 24},
        {"channels": (96, 192), "heads": 3, "layers": 2},
        {"channels": (256,), "heads": 8, "groups": 32},
        {"vae": (8, 8, 16, 16)},
        {"vae": (8,), "context": 16, "saved_as": "safetensors"},
    ],
    ids=lambda sizes: " ".join(f"{name}={value}" for name, value in sizes.items()),
)
def test_whole_checkpoints_of_other_sizes_make_clips(tmp_path: Path, sizes: dict[str, Any]) -> None:
    """Every tensor finds its place: loading is strict."""
    vae = sizes.get("vae", (8, 8))
    channels = sizes.get("channels", (64, 64))
    write_checkpoint(tmp_path, **sizes)
    side = max(4, 2 ** (len(channels) + len(vae) - 1))
    plugin = make(tmp_path, width=side, height=2 * side, frames=2)
    clip = plugin.generate([ClipRequest("a ball falls", 1)])[0]
    assert isinstance(clip, Frames), clip
    assert clip.frames.shape == (2, 2 * side, side, 3)
    assert clip.frames.std() > 1


def test_heads_too_narrow_to_be_rotated_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 32 channels"):
        model_of.load_lavie_unet(random_unet((32, 32)), config((32, 32), 2, 1, 8))


# --- the plugin ----------------------------------------------------------------------------------


def test_clips_are_deterministic_and_independent_of_neighbours(checkpoint: Path) -> None:
    requests = [ClipRequest("a ball falls", 1), ClipRequest("water pours", 2)]
    together = make(checkpoint).generate(requests)
    swapped = make(checkpoint).generate(requests[::-1])[::-1]
    for one, other in zip(together, swapped, strict=True):
        assert isinstance(one, Frames)
        assert one.frames.shape == (3, 8, 16, 3)
        assert one.fps == 8
        assert np.array_equal(one.frames, other.frames)
    assert not np.array_equal(together[0].frames, together[1].frames)


def test_options_change_clip_and_fingerprint(checkpoint: Path) -> None:
    request = [ClipRequest("a ball falls", 1)]
    base = make(checkpoint)
    clip = base.generate(request)[0]
    changes = ({"guidance": 4.0}, {"sampler": "ddim"}, {"sampler": "eulerdiscrete"}, {"steps": 4})
    for change in changes:
        other = make(checkpoint, **change)
        assert other.info.fingerprint != base.info.fingerprint
        assert not np.array_equal(other.generate(request)[0].frames, clip.frames)
    assert "OpenRAIL" in base.info.licence
    json.dumps(dict(base.info.fingerprint))


def test_averaged_weights_are_preferred(checkpoint: Path, tmp_path: Path) -> None:
    averaged = random_unet()
    torch.save({"ema": averaged, "model": {"other": torch.zeros(1)}}, tmp_path / "lavie_base.pt")
    base = str(checkpoint / "stable-diffusion-v1-4")
    request = [ClipRequest("a ball", 1)]
    clip = make(tmp_path, base=base).generate(request)[0]
    assert np.array_equal(clip.frames, make(checkpoint).generate(request)[0].frames)


def test_half_precision_keeps_the_rotation_exact(checkpoint: Path) -> None:
    plugin = make(checkpoint, dtype="bfloat16")
    assert isinstance(plugin.generate([ClipRequest("a ball", 1)])[0], Frames)
    rotary = plugin.model.networks().unet.get_submodule(f"{BLOCK}.attn_temp.rotary_emb")
    assert rotary.freqs.dtype == torch.float32
    assert torch.equal(rotary.freqs, FREQUENCIES)


def test_long_prompts_follow_the_policy(checkpoint: Path) -> None:
    long = ClipRequest("a " * 80, 1)
    refused = make(checkpoint).generate([long])[0]
    assert isinstance(refused, Failure)
    assert refused.kind == "over_budget"
    cut = make(checkpoint, over_budget="truncate").generate([long, ClipRequest("a " * 75, 1)])
    assert [clip.meta["truncated"] for clip in cut] == [True, False]
    assert np.array_equal(cut[0].frames, cut[1].frames)


@pytest.mark.parametrize(
    ("settings", "said"),
    [(VideoSettings(fps=10), "not told"), (VideoSettings(width=18), "multiple of 4")],
)
def test_settings_it_cannot_meet_are_refused(
    checkpoint: Path, settings: VideoSettings, said: str
) -> None:
    result = make(checkpoint).generate([ClipRequest("a", 1, settings=settings)])[0]
    assert isinstance(result, Failure)
    assert said in result.message


class Code:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


@pytest.mark.parametrize("part", ["lavie_base.pt", "vae/diffusion_pytorch_model.bin"])
def test_code_in_a_checkpoint_does_not_run(
    checkpoint: Path, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "evil"
    shutil.copytree(checkpoint, folder)
    path = folder / part if part.endswith(".pt") else folder / "stable-diffusion-v1-4" / part
    torch.save({"ema": {}, "code": Code()}, path)
    with pytest.raises((ConfigError, OSError, ValueError)):
        make(folder).generate([ClipRequest("a", 1)])
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["missing", "extra", "shape"])
def test_checkpoints_that_do_not_fit_are_refused(fault: str) -> None:
    state = random_unet()
    if fault == "missing":
        del state[f"{BLOCK}.attn_temp.rotary_emb.freqs"]
    elif fault == "extra":
        state["other"] = torch.zeros(1)
    else:
        state["conv_out.bias"] = torch.zeros(5)
    with pytest.raises(ConfigError, match="does not fit the UNet"):
        model_of.load_lavie_unet(state, config((64, 64), 2, 1, 8))


def test_missing_files_are_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"lavie_base\.pt  3\.64 GB"):
        lavie()
    shutil.copy(checkpoint / "lavie_base.pt", tmp_path)
    with pytest.raises(ConfigError, match=r"CompVis/stable-diffusion-v1-4"):
        lavie(model=str(tmp_path))
    folder = tmp_path / "half"
    shutil.copytree(checkpoint, folder)
    shutil.rmtree(folder / "stable-diffusion-v1-4" / "text_encoder")
    with pytest.raises(ConfigError, match=r"text_encoder/config\.json"):
        lavie(model=str(folder))
