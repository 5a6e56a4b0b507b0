from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tools.models.diffusers_presets import (
    CARDS,
    DEFAULT,
    EXTENDED,
    GUARDED,
    Make,
    check_preset,
    frames_of,
)
from tools.places import ROOT

pytest.importorskip("torch")
pytest.importorskip("diffusers")


from phybench.errors import ConfigError
from phybench.generators.diffusers.model_card import PRESETS, load_card
from phybench.generators.diffusers.pipeline_traits import TRAITS
from phybench.generators.diffusers.plugin import DiffusersVideo
from phybench.plugins.contracts import ClipRequest, Failure, Generator, VideoSettings
from phybench.plugins.registry import create, names


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFAULT)
def test_preset_generates_the_asked_clip_and_repeats_it(make: Make, name: str) -> None:
    check_preset(make, name)


@pytest.mark.extended
@pytest.mark.parametrize("name", EXTENDED)
def test_other_preset_generates_the_asked_clip_and_repeats_it(make: Make, name: str) -> None:
    check_preset(make, name)


@pytest.mark.extended
def test_allegro_generates_one_tile(saved: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    preset = yaml.safe_load((PRESETS / "allegro.yaml").read_text())
    preset["card"]["min_tile"] = [24, 128, 128]
    preset["card"]["frames"] = {"step": 4, "offset": 0}
    path = tmp_path / "allegro-tiny.yaml"
    path.write_text(yaml.safe_dump(preset))
    options = saved("allegro") | {
        "preset": str(path),
        "frames": 24,
        "width": 128,
        "height": 128,
        "steps": 1,
    }
    clip = frames_of(DiffusersVideo(**options).generate([ClipRequest("a ball falls", 1)])[0])
    assert clip.shape == (24, 128, 128, 3)
    assert clip.std() > 1


def test_every_preset_is_built_small_somewhere() -> None:
    built = {*DEFAULT, *EXTENDED, "allegro", *GUARDED}
    assert {path.stem for path in CARDS if "mini" not in path.stem} == built


def test_documentation_lists_every_preset_with_its_licence() -> None:
    text = (ROOT / "docs" / "generators.md").read_text()
    for path in CARDS:
        if "mini" in path.stem:
            continue
        card = load_card(path.stem)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{path.stem}` |"))
        assert card.licence in row
        assert row.endswith(f"| {card.training_on_outputs} |")


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_cards_name_arguments_that_their_pipeline_has(path: Path) -> None:
    import diffusers

    from phybench.generators.diffusers.load import check_call

    card = load_card(path.stem)
    check_call(getattr(diffusers, card.pipeline), card, TRAITS[card.pipeline])
    assert card.frames.allows(card.native.frames)
    assert card.native.width % card.size_multiple == 0
    assert card.native.height % card.size_multiple == 0
    if card.scheduler:
        accepted = getattr(diffusers, card.scheduler.name).__init__.__wrapped__.__code__.co_varnames
        assert set(card.scheduler.config) <= set(accepted)


TEXTS = ["a ball falls", "water pours into a glass", "the man throws a stone", "a box slides"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [2, 4])
@pytest.mark.parametrize("name", ["cogvideox", "wan2.1-1.3b", "ltx-0.9", "animatediff-sd15"])
def test_batch_and_neighbours_change_no_pixel(make: Make, name: str, batch: int) -> None:
    requests = [ClipRequest(text, 10 + index) for index, text in enumerate(TEXTS)]
    alone = [make(name).generate([request])[0] for request in requests]
    together = make(name, batch=batch).generate(requests)
    swapped = make(name, batch=batch).generate(requests[::-1])[::-1]
    for one, other, third in zip(alone, together, swapped, strict=True):
        assert np.array_equal(frames_of(one), frames_of(other))
        assert np.array_equal(frames_of(one), frames_of(third))


@pytest.mark.parametrize("name", ["cogvideox", "wan2.1-1.3b", "sana-video-480p"])
def test_prompts_in_one_call_differ_by_rounding_only(make: Make, name: str) -> None:
    """What a GPU does with `batch`: at most one grey level, on at most 0.1 % of the values."""
    requests = [ClipRequest(text, 10 + index) for index, text in enumerate(TEXTS)]
    alone = make(name).generate(requests)
    joint = make(name, batch=4)
    joint._together = 4
    for one, other in zip(alone, joint.generate(requests), strict=True):
        difference = np.abs(frames_of(one).astype(int) - frames_of(other))
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 1e-3


def test_batch_is_refused_where_it_changes_clips(make: Make) -> None:
    with pytest.raises(ConfigError, match="`batch` to be 1 for HunyuanVideo15Pipeline"):
        make("hunyuanvideo-1.5-480p", batch=2)


@pytest.mark.parametrize(
    ("name", "joint", "same", "other"),
    [
        ("cogvideox", " ", "a", "the"),
        ("wan2.1-1.3b", " ", "a", "the"),
        ("ltx-0.9", " ", "a", "the"),
        ("mochi-1", " ", "a", "the"),
        ("sana-video-480p", " ", "a", "the"),
        ("modelscope", " ", "a", "b"),
        ("animatediff-sd15", " ", "a", "b"),
    ],
)
def test_budget_is_where_the_model_stops_reading(
    make: Make, name: str, joint: str, same: str, other: str
) -> None:
    """At the budget the last word still changes the clip; one word more changes nothing."""
    generator = make(name, over_budget="truncate", template="{prompt}")
    budget = generator.info.prompt_budget
    assert budget
    size = next(
        n
        for n in range(1, budget + 1)
        if generator.count_tokens([joint.join([same] * n)])[0] == budget
    )
    full = joint.join([same] * size)
    changed = joint.join([same] * (size - 1) + [other])
    longer = full + joint + other
    clips = generator.generate([ClipRequest(text, 7) for text in (full, changed, longer)])
    assert [clip.meta["truncated"] for clip in clips] == [False, False, True]
    assert generator.count_tokens([longer]) == [budget + 1]
    assert not np.array_equal(frames_of(clips[0]), frames_of(clips[1]))
    assert np.array_equal(frames_of(clips[0]), frames_of(clips[2]))


def test_long_prompt_is_a_failure_by_default_and_spares_its_neighbours(make: Make) -> None:
    results = make().generate([ClipRequest("a " * 300, 1), ClipRequest("a ball", 1)])
    assert isinstance(results[0], Failure)
    assert results[0].kind == "over_budget"
    assert "at most 226 tokens for `cogvideox`, but got 301" in results[0].message
    frames_of(results[1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (VideoSettings(frames=12), "8·n+1"),
        (VideoSettings(frames=57), "at most 49"),
        (VideoSettings(width=24), "multiple of 16"),
        (VideoSettings(fps=16), "`fps` of `cogvideox` to be 8, but got 16"),
    ],
)
def test_settings_the_pipeline_would_round_are_refused(
    make: Make, settings: VideoSettings, said: str
) -> None:
    result = make().generate([ClipRequest("a ball", 1, settings=settings)])[0]
    assert isinstance(result, Failure)
    assert result.kind == "settings"
    assert said in result.message


def test_run_settings_win_over_options_and_the_rate_conditions_where_it_can(make: Make) -> None:
    asked = VideoSettings(frames=17, fps=12.5)
    slow, native = make("ltx-0.9").generate(
        [
            ClipRequest("a ball", 1, settings=asked),
            ClipRequest("a ball", 1, settings=VideoSettings(frames=17)),
        ]
    )
    assert frames_of(slow).shape[0] == 17
    assert slow.fps == 12.5
    assert not np.array_equal(slow.frames, frames_of(native))


def test_plugin_opens_by_preset_name_with_typed_options(
    saved: Callable[[str], dict[str, Any]],
) -> None:
    folder = saved("cogvideox")["model"]
    spec = f"cogvideox:model={folder},frames=9,width=16,height=16,steps=2,device=cpu"
    generator = create("generator", spec)
    assert isinstance(generator, Generator)
    assert generator.info.name == "cogvideox"
    assert generator.info.video == VideoSettings(9, 8, 16, 16)
    assert {"cogvideox", "cogvideox-5b", "cogvideox1.5-5b"} <= set(names("generator"))
    frames_of(generator.generate([ClipRequest("a ball falls", 1)])[0])
    with pytest.raises(ConfigError, match="option of generator `cogvideox`, but got `step`"):
        create("generator", spec.replace("steps", "step"))


def test_fingerprint_tells_apart_what_changes_pixels_and_only_that(
    make: Make, saved: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    base = make().info.fingerprint
    for change in (
        {"steps": 3},
        {"guidance": 5.0},
        {"dtype": "bfloat16"},
        {"vae_tiling": True},
        {"profile": "fast"},
        {"profile": "fp8"},
        {"negative_prompt": "blurry"},
        {"template": "{prompt}, photo"},
        {"over_budget": "truncate"},
    ):
        assert make(**change).info.fingerprint != base, change
    copy = tmp_path / "copy"
    shutil.copytree(saved("cogvideox")["model"], copy)
    assert make(model=str(copy)).info.fingerprint == base
    weights = next(copy.glob("transformer/*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    (other / "transformer" / weights.name).write_bytes(bytes(data))
    assert make(model=str(other)).info.fingerprint != base
    json.dumps(dict(base))


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("cogvideox", "fast"),
        ("cogvideox", "fp8"),
        ("wan2.2-a14b", "fast"),
        ("ltx-0.9", "fast"),
        ("hunyuanvideo", "fast"),
        ("mochi-1", "fast"),
    ],
)
def test_profiles_are_labelled_and_remember_no_earlier_clip(
    make: Make, name: str, profile: str
) -> None:
    generator = make(name, profile=profile, steps=6)
    first, other, again = generator.generate(
        [ClipRequest("a ball falls", 1), ClipRequest("water", 2), ClipRequest("a ball falls", 1)]
    )
    assert first.meta["profile"] == profile
    assert not np.array_equal(frames_of(first), frames_of(other))
    assert np.array_equal(frames_of(first), frames_of(again))


def test_profiles_change_the_pixels_they_claim_to(make: Make) -> None:
    request = [ClipRequest("a ball falls", 1)]
    exact, fast, fp8 = (
        make(profile=profile, steps=12).generate(request)[0] for profile in ("exact", "fast", "fp8")
    )
    assert not np.array_equal(frames_of(exact), frames_of(fast))
    assert not np.array_equal(frames_of(exact), frames_of(fp8))


def test_profile_without_a_known_cache_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="no cache is known"):
        make("modelscope", profile="fast")


@pytest.mark.extended
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_profile_generates(make: Make) -> None:
    frames_of(make(profile="compiled").generate([ClipRequest("a ball falls", 1)])[0])


def test_flow_shift_changes_the_clip_and_is_refused_without_a_flow(make: Make) -> None:
    request = [ClipRequest("a ball", 1)]
    three, eight = (make("wan2.1-1.3b", flow_shift=shift).generate(request)[0] for shift in (3, 8))
    assert not np.array_equal(frames_of(three), frames_of(eight))
    assert eight.meta["scheduler"]["flow_shift"] == 8
    with pytest.raises(ConfigError, match="no `flow_shift`"):
        make("cogvideox", flow_shift=3.0)


def test_precision_that_breaks_the_pixels_is_a_failure(
    make: Make, saved: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(saved("cogvideox")["model"], broken)
    weights = next(broken.glob("transformer/*.safetensors"))
    tensors = load_file(weights)
    tensors["proj_out.weight"].fill_(float("nan"))
    save_file(tensors, weights, metadata={"format": "pt"})
    result = make(model=str(broken)).generate([ClipRequest("a ball", 1)])[0]
    assert isinstance(result, Failure)
    assert result.kind == "nan"
