"""Presets of diffusers in sizes that a CPU can do."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import yaml

from phybench.generators.diffusers.model_card import PRESETS, load_card
from phybench.generators.diffusers.plugin import DiffusersVideo
from phybench.plugins.contracts import ClipRequest, Frames
from tools.models import tiny_pipelines

# Frames, side, steps that each tiny pipeline can make; the rest takes 9 frames of 16×16.
SHAPES: dict[str, tuple[int, int, int | None]] = {
    "cogvideox1.5-5b": (17, 16, 2),
    "wan2.2-ti2v-5b": (9, 32, 2),
    "wan2.2-a14b": (9, 16, 4),  # four steps, so that both experts are used
    "ltx-0.9": (9, 32, 2),
    "ltx-0.9.5": (9, 32, 2),
    "ltx-0.9.7-13b": (9, 32, 2),
    "ltx-0.9.8-13b-distilled": (9, 32, None),
    "ltx-2": (9, 32, 2),
    "ltx-2.3": (9, 32, 2),
    "mochi-1": (7, 16, 2),
    "sana-video-480p": (9, 32, 2),
    "modelscope": (4, 32, 2),
    "animatediff-sd15": (8, 16, 2),
}


DEFAULT = [
    "cogvideox",
    "wan2.1-1.3b",
    "wan2.2-a14b",
    "ltx-0.9",
    "hunyuanvideo",
    "hunyuanvideo-1.5-480p",
    "sana-video-480p",
    "mochi-1",
    "animatediff-sd15",
    "modelscope",
]


GUARDED = {"cosmos1-7b", "cosmos2.5-2b"}  # in test_cosmos.py


EXTENDED = sorted(set(tiny_pipelines.BUILDERS) - set(DEFAULT) - {"allegro"} - GUARDED)


CARDS = [
    path
    for path in sorted(PRESETS.glob("*.yaml"))
    if yaml.safe_load(path.read_text())["plugin"] == "diffusers"
]


Make = Callable[..., DiffusersVideo]


def frames_of(result: object) -> np.ndarray:
    assert isinstance(result, Frames), result
    return result.frames


def check_preset(make: Make, name: str) -> None:
    generator = make(name)
    native = generator.info.video
    assert native is not None
    first, second = generator.generate(
        [ClipRequest("a red ball rolls down the hill", 3), ClipRequest("water pours", 4)]
    )
    for result in (first, second):
        clip = frames_of(result)
        assert clip.dtype == np.uint8
        assert clip.shape == (native.frames, native.height, native.width, 3)
        assert result.fps == load_card(name).native.fps
        assert result.meta["truncated"] is False
        json.dumps(dict(result.meta))
    assert not np.array_equal(first.frames, second.frames)
    again = make(name).generate([ClipRequest("water pours", 4)])[0]
    assert np.array_equal(frames_of(again), second.frames)
    other_seed = generator.generate([ClipRequest("water pours", 5)])[0]
    assert not np.array_equal(frames_of(other_seed), second.frames)
