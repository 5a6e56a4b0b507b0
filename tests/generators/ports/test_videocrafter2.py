from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools.models.pipelines.tokenizers import clip_tokenizer, save_clip_tokenizer
from tools.models.videocrafter2_checkpoint import checkpoint, make, random_state
from tools.places import SHARED

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import tools.models.original_names as names
import torch

from phybench.errors import ConfigError
from phybench.generators.ports.clip_text import clean_text, fit
from phybench.generators.ports.videocrafter2 import model as vc2
from phybench.generators.ports.videocrafter2.key_map import UNET, VAE
from phybench.generators.ports.videocrafter2.plugin import videocrafter2
from phybench.generators.ports.videocrafter2.sampler import (
    ddim_schedule,
    predicted_clip,
    rescale_table,
    sample,
)
from phybench.plugins.contracts import ClipRequest, Failure, Frames, VideoSettings

__all__ = ["checkpoint"]  # a fixture

PARITY = SHARED / "parity" / "videocrafter2"
needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="no ../shared/parity/videocrafter2")
needs_keys = pytest.mark.skipif(not (SHARED / "facts/keys").is_dir(), reason="no ../shared/facts")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# --- the original's outputs ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def original() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    from safetensors.torch import load_file

    networks = vc2.load_crafter_networks(PARITY / "checkpoint" / "model.ckpt")
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
        close(networks.encode_text(expected["text_ids"]), text, 2e-5)
        inputs = (expected["unet_x"], expected["unet_t"])
        close(
            networks.predict_noise(*inputs, expected["unet_fps"], text), expected["unet_out"], 3e-5
        )
        sixteen = torch.tensor([16, 16])
        close(networks.predict_noise(*inputs, sixteen, text), expected["unet_out_fps16"], 3e-5)
        long = networks.predict_noise(
            expected["unet16_x"], torch.tensor([1]), torch.tensor([28]), text[:1]
        )
        close(long, expected["unet16_out"], 3e-5)
        close(networks.decode(expected["vae_z_scaled"]), expected["vae_dec"], 2e-5)
        moments = networks.vae.quant_conv(networks.vae.encoder(expected["vae_img"]))
        close(moments, expected["vae_enc_moments"], 2e-5)


@needs_parity
@pytest.mark.parametrize(("run", "tolerance"), [("ddim_a", 5e-3), ("ddim_b", 2e-3)])
def test_sampler_agrees_with_the_original(original: Any, run: str, tolerance: float) -> None:
    networks, expected, facts = original
    told = facts[run]
    schedule = ddim_schedule(told["steps"], told["eta"])
    assert list(reversed(schedule.timesteps)) == told["timesteps_visited"]
    start, noise = expected[f"{run}_xT"], expected[f"{run}_noise"]
    generator = torch.Generator().manual_seed(told["torch_manual_seed"])
    assert torch.equal(torch.randn(start.shape, generator=generator), start)
    for step in noise:
        assert torch.equal(torch.randn(start.shape, generator=generator), step)
    with torch.no_grad():
        out = networks.sample(
            start, iter(noise), expected["text_emb"], told["fps"], told["cfg"], schedule
        )
    close(out, expected[f"{run}_out"], tolerance)


@needs_parity
def test_generator_makes_the_original_video(
    original: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ids to 8-bit pixels through the plugin's own path, with the original's seed."""
    _, expected, facts = original
    told = facts["ddim_a"]
    checkpoint = tmp_path / "tokenizer"
    save_clip_tokenizer(checkpoint)
    plugin = videocrafter2(
        model=str(PARITY / "checkpoint"),
        tokenizer=str(checkpoint),
        frames=4,
        width=24,
        height=16,
        steps=told["steps"],
        guidance=told["cfg"],
        eta=told["eta"],
        device="cpu",
    )
    rows = expected["text_ids"].tolist()
    # The material gives token ids, not texts: they stand in for the tokenizer's answer.
    monkeypatch.setattr(plugin.model, "ids", lambda text: rows[0] if text else rows[1])
    seed = told["torch_manual_seed"]
    clip = plugin.generate([ClipRequest("prompt", seed)])[0]
    assert isinstance(clip, Frames)
    want = expected["ddim_a_video_u8"][0].permute(1, 2, 3, 0).numpy()
    assert np.abs(clip.frames.astype(int) - want).max() <= 1


@needs_parity
def test_schedule_is_the_published_one(original: Any) -> None:
    facts = original[2]
    told, schedule = facts["schedule_50_eta1"], ddim_schedule(50, 1.0)
    assert list(schedule.timesteps) == told["timesteps"]
    for ours, theirs in (
        (schedule.alphas, told["alphas"]),
        (schedule.alphas_prev, told["alphas_prev"]),
        (schedule.sigmas, told["sigmas"]),
        (schedule.scales, told["scale"]),
        (schedule.scales_prev, told["scale_prev"]),
    ):
        assert np.allclose(ours, theirs, atol=1e-6, rtol=0)
    assert len(rescale_table()) == facts["scale_arr"]["len"]


# --- the same without the original ---------------------------------------------------------------


def test_schedule_golden_numbers() -> None:
    """betas = linspace(√0.00085, √0.012, 1000)²; ac[1] = (1-b0)(1-b1); scale[1] = 1 - 0.3/399."""
    schedule = ddim_schedule(50, 1.0)
    assert schedule.timesteps[:3] == (1, 21, 41)
    assert schedule.timesteps[-1] == 981
    roots = np.linspace(0.00085**0.5, 0.012**0.5, 1000)
    kept = np.cumprod(1 - roots**2)
    assert np.allclose(schedule.alphas, kept[list(schedule.timesteps)], atol=1e-6)
    assert schedule.alphas_prev[0] == pytest.approx(1 - 0.00085, abs=1e-7)
    assert schedule.scales[0] == pytest.approx(1 - 0.3 / 399, abs=1e-6)
    assert schedule.scales_prev[:2] == (1.0, schedule.scales[0])
    assert set(schedule.scales[20:]) == {schedule.scales[-1]}
    assert schedule.scales[-1] == pytest.approx(0.7)
    assert ddim_schedule(50, 0.0).sigmas == (0.0,) * 50


def test_sampler_recovers_a_clip_from_a_perfect_denoiser() -> None:
    """With the exact noise known, each step's prediction is the clip, whatever the rescaling."""
    clip = torch.linspace(-1, 1, 48).reshape(1, 4, 3, 2, 2)
    schedule = ddim_schedule(10, 0.0)

    def noise_of(latents: Any, timestep: int) -> Any:
        index = schedule.timesteps.index(timestep)
        alpha, scale = schedule.alphas[index], schedule.scales[index]
        return (latents - alpha**0.5 * scale * clip) / (1 - alpha) ** 0.5

    start = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    zeros = iter([torch.zeros(clip.shape)] * 10)
    out = sample(noise_of, start, zeros, schedule)
    left = noise_of(start, schedule.timesteps[-1])
    assert torch.allclose(predicted_clip(start, left, schedule, 9), clip, atol=1e-4)
    # After the last step the clip is as noisy as at timestep 0: the noise is a thirtieth.
    assert float((out - clip).abs().max()) < 0.2


@needs_keys
def test_names_are_the_published_ones_and_load_at_real_size() -> None:
    published: dict[str, list[int]] = {}
    for part in ("unet", "vae"):
        published |= json.loads((SHARED / f"facts/keys/videocrafter2_{part}.json").read_text())
    channels = (320, 640, 1280, 1280)
    attends = (True, True, True, False)
    ours = {UNET + name: shape for name, shape in names.vc2_unet(channels, 2, attends, 64, 1024)}
    ours |= {VAE + name: shape for name, shape in names.ldm_vae((128, 256, 512, 512), 2)}
    assert ours == {name: tuple(shape) for name, shape in published.items()}


def test_real_size_loads_completely_on_the_meta_device() -> None:
    channels, attends = (320, 640, 1280, 1280), (True, True, True, False)
    with torch.device("meta"):
        unet = {n: torch.empty(s) for n, s in names.vc2_unet(channels, 2, attends, 64, 1024)}
        vae = {n: torch.empty(s) for n, s in names.ldm_vae((128, 256, 512, 512), 2)}
        text = {n: torch.empty(s) for n, s in names.openclip_text(1024, 24, 49408)}
    assert len(unet) == 1484
    assert len(vae) == 248
    loaded = vc2.load_crafter_unet(unet)
    assert sum(parameter.numel() for parameter in loaded.parameters()) == sum(
        tensor.numel() for tensor in unet.values()
    )
    assert loaded.config.attention_head_dim == 64
    vc2.load_vae(vae)
    tower = vc2.load_text(text, None)
    assert tower.config.num_hidden_layers == 23
    assert tower.config.num_attention_heads == 16


@pytest.mark.parametrize(
    ("channels", "layers", "head", "context"),
    [((32, 64), 1, 8, 32), ((32, 32, 64), 2, 4, 24), ((64,), 1, 16, 32)],
)
def test_checkpoints_of_other_sizes_run(
    channels: tuple[int, ...], layers: int, head: int, context: int
) -> None:
    networks = vc2.networks_from(random_state(channels, layers, head, context))
    side = 2 ** len(channels)
    with torch.no_grad():
        out = networks.predict_noise(
            torch.randn(1, 4, 3, side, side),
            torch.tensor([5]),
            torch.tensor([28]),
            torch.randn(1, 77, context),
        )
    assert out.shape == (1, 4, 3, side, side)
    assert torch.isfinite(out).all()
    assert out.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"channels": (32, 64, 96, 96), "attends": (True, True, True, False)},
        {"channels": (32, 64), "attends": (True, True)},
        {"channels": (32, 64), "attends": (False, True)},
        {"channels": (96, 64, 32), "attends": (True, False, True), "layers": 2},
        {"channels": (64,), "attends": (True,), "head": 32},
        {"vae": (32, 64, 64, 96), "vae_layers": 2},
        {"vae": (64,), "blocks": 2},
        {"context": 320, "blocks": 6, "head": 16},
    ],
    ids=lambda sizes: " ".join(f"{name}={value}" for name, value in sizes.items()),
)
def test_whole_checkpoints_of_other_sizes_make_clips(
    checkpoint: Path, tmp_path: Path, sizes: dict[str, Any]
) -> None:
    """Every tensor finds its place: loading is strict."""
    torch.save({"state_dict": random_state(**sizes), "step": 7}, tmp_path / "model.ckpt")
    levels = len(sizes.get("channels", (32, 64))) + len(sizes.get("vae", (32, 32)))
    side = max(4, 2 ** (levels - 1))
    plugin = make(checkpoint, model=str(tmp_path), width=side, height=2 * side, frames=2)
    clip = plugin.generate([ClipRequest("a ball falls", 1)])[0]
    assert isinstance(clip, Frames), clip
    assert clip.frames.shape == (2, 2 * side, side, 3)
    assert clip.frames.std() > 1


def test_weights_in_half_precision_load(checkpoint: Path, tmp_path: Path) -> None:
    halved = {name: tensor.half() for name, tensor in random_state().items()}
    torch.save({"state_dict": halved}, tmp_path / "model.ckpt")
    made = make(checkpoint, model=str(tmp_path)).generate([ClipRequest("a ball", 1)])[0]
    assert isinstance(made, Frames), made


def test_heads_that_do_not_fit_the_text_tower_are_refused() -> None:
    with pytest.raises(ConfigError, match="`text_heads` to divide"):
        vc2.networks_from(random_state(), text_heads=5)


def test_frame_rate_text_and_time_reach_the_denoiser() -> None:
    networks = vc2.networks_from(random_state())
    torch.manual_seed(3)
    latents, text = torch.randn(1, 4, 3, 4, 4), torch.randn(1, 77, 32)

    def predict(step: int = 5, fps: int = 28, words: Any = text) -> Any:
        with torch.no_grad():
            return networks.predict_noise(latents, torch.tensor([step]), torch.tensor([fps]), words)

    for other in (predict(step=6), predict(fps=8), predict(words=text + 0.1)):
        assert float((other - predict()).abs().max()) > 1e-4


def test_padding_is_zero_and_the_end_mark_stays_last() -> None:
    assert fit([510, 5, 511], 0) == [510, 5, 511] + [0] * 74
    long = [510, *range(100), 511]
    assert fit(long, 0) == [510, *range(75), 511]


def test_cleaning_is_openclips() -> None:
    assert clean_text("Coffee &amp;amp; milk,\n  a  gentle pour") == "coffee & milk, a gentle pour"
    assert clean_text("schÃ¶n") == "schön"


def test_exclamation_marks_are_text_not_padding(checkpoint: Path) -> None:
    plugin = make(checkpoint)
    bang = clip_tokenizer().get_vocab()["!</w>"]
    ids = plugin.model.ids("a !")
    assert ids[-2] == bang
    assert plugin.count_tokens(["a !", ""]) == [4, 2]


# --- the plugin ----------------------------------------------------------------------------------


def test_clips_are_deterministic_and_independent_of_neighbours(checkpoint: Path) -> None:
    requests = [ClipRequest("a ball falls", 1), ClipRequest("water pours", 2)]
    together = make(checkpoint).generate(requests)
    swapped = make(checkpoint).generate(requests[::-1])[::-1]
    for one, other in zip(together, swapped, strict=True):
        assert isinstance(one, Frames)
        assert isinstance(other, Frames)
        assert one.frames.shape == (3, 8, 16, 3)
        assert one.fps == 10
        assert np.array_equal(one.frames, other.frames)
    assert not np.array_equal(together[0].frames, together[1].frames)


@pytest.mark.slow
def test_options_change_clip_and_fingerprint(checkpoint: Path) -> None:
    request = [ClipRequest("a ball falls", 1)]
    base = make(checkpoint)
    clip = base.generate(request)[0]
    for change in ({"guidance": 7.5}, {"eta": 0.0}, {"motion_fps": 8}, {"steps": 4}):
        other = make(checkpoint, **change)
        assert other.info.fingerprint != base.info.fingerprint
        assert not np.array_equal(other.generate(request)[0].frames, clip.frames)
    assert "research" in base.info.licence
    json.dumps(dict(base.info.fingerprint))


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
    [
        (VideoSettings(fps=8), "not told the frame rate"),
        (VideoSettings(width=18), "multiple of 4"),
        (VideoSettings(height=9), "even"),
    ],
)
def test_settings_it_cannot_meet_are_refused(
    checkpoint: Path, settings: VideoSettings, said: str
) -> None:
    result = make(checkpoint).generate([ClipRequest("a", 1, settings=settings)])[0]
    assert isinstance(result, Failure)
    assert said in result.message
