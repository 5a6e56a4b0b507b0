"""Tiny pipelines of every preset, saved once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tools.models import tiny_pipelines
from tools.models.diffusers_presets import SHAPES, Make

from phybench.generators.diffusers.plugin import DiffusersVideo


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Options for a preset's tiny checkpoint, built once."""
    folder = tmp_path_factory.mktemp("checkpoints")
    cache: dict[str, dict[str, Any]] = {}

    def options(name: str) -> dict[str, Any]:
        if name not in cache:
            frames, side, steps = SHAPES.get(name, (9, 16, 2))
            sizes = {"frames": frames, "width": side, "height": side}
            cache[name] = {**tiny_pipelines.save(name, folder), **sizes}
            if steps:
                cache[name]["steps"] = steps
        return dict(cache[name])

    return options


@pytest.fixture
def make(saved: Callable[[str], dict[str, Any]]) -> Make:
    def build(name: str = "cogvideox", **changes: Any) -> DiffusersVideo:
        return DiffusersVideo(**{**saved(name), **changes})

    return build
