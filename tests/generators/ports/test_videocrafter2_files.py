"""Which files VideoCrafter2 loads, and which it refuses."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tools.models.videocrafter2_checkpoint import checkpoint, make, random_state

from phybench.errors import ConfigError
from phybench.generators.ports.videocrafter2 import model as vc2
from phybench.generators.ports.videocrafter2.key_map import UNET, VAE
from phybench.generators.ports.videocrafter2.plugin import videocrafter2
from phybench.generators.ports.videocrafter2.sampler import (
    noise_schedule,
    rescale_table,
)
from phybench.plugins.contracts import ClipRequest, Frames

__all__ = ["checkpoint"]  # a fixture


@pytest.mark.parametrize("wrap", ["bare", "module"])
def test_other_ways_of_saving_load_too(checkpoint: Path, tmp_path: Path, wrap: str) -> None:
    state = random_state()
    saved = (
        state
        if wrap == "bare"
        else {"module": {f"_forward_module.{name}": tensor for name, tensor in state.items()}}
    )
    torch.save(saved, tmp_path / "model.ckpt")
    request = [ClipRequest("a ball", 1)]
    other = make(checkpoint, model=str(tmp_path)).generate(request)[0]
    assert np.array_equal(other.frames, make(checkpoint).generate(request)[0].frames)


class Code:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


def test_code_in_a_checkpoint_runs_only_on_an_explicit_wish(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": random_state(), "callbacks": Code()}, tmp_path / "model.ckpt")
    with pytest.raises(ConfigError, match="allow_unpickling=true"):
        make(checkpoint, model=str(tmp_path)).generate([ClipRequest("a", 1)])
    assert "ran" not in capsys.readouterr().out
    trusting = make(checkpoint, model=str(tmp_path), allow_unpickling=True)
    assert isinstance(trusting.generate([ClipRequest("a", 1)])[0], Frames)


@pytest.mark.parametrize(
    "fault", ["missing", "extra", "shape", "schedule", "rescaling", "no rescaling", "noise"]
)
def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path, fault: str) -> None:
    state = random_state()
    if fault == "missing":
        del state[f"{UNET}out.2.bias"]
    elif fault == "extra":
        state["model_of_something_else"] = torch.zeros(1)
    elif fault == "shape":
        state[f"{VAE}quant_conv.bias"] = torch.zeros(9)
    elif fault == "schedule":
        state["alphas_cumprod"] = noise_schedule() * 0.9
    elif fault == "rescaling":
        state["scale_arr"] = rescale_table() * 0.9
    elif fault == "no rescaling":
        del state["scale_arr"]
    path = tmp_path / "model.ckpt"
    if fault == "noise":
        path.write_bytes(pickle.dumps([1])[:-2])
    else:
        torch.save(state, path)
    with pytest.raises(ConfigError):
        vc2.load_crafter_networks(path)


def test_missing_files_are_named_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        videocrafter2()
    assert "model.ckpt  7.40 GB" in str(caught.value)
    assert "hf download VideoCrafter/VideoCrafter2 --include 'model.ckpt'" in str(caught.value)
    with pytest.raises(ConfigError, match="does not exist"):
        videocrafter2(model=str(tmp_path / "none.ckpt"))
