"""Small real diffusers pipelines with random weights, saved in the public layout.

Every builder makes the pipeline of one preset from its own classes; sizes are the smallest that
work on a CPU, everything else is as in the public checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tools.models.pipelines.cogvideox import cogvideox, cogvideox15
from tools.models.pipelines.cosmos import cosmos1, cosmos25
from tools.models.pipelines.hunyuan import hunyuan, hunyuan15
from tools.models.pipelines.ltx import ltx, ltx2, ltx_condition
from tools.models.pipelines.others import (
    allegro,
    mochi,
    modelscope,
    motion_adapter,
    sana,
    stable_diffusion,
)
from tools.models.pipelines.wan import wan, wan_a14b, wan_ti2v

BUILDERS: Mapping[str, Callable[[], Any]] = {
    "cogvideox": cogvideox,
    "cogvideox-5b": cogvideox,
    "cogvideox1.5-5b": cogvideox15,
    "wan2.1-1.3b": wan,
    "wan2.1-14b": wan,
    "wan2.2-ti2v-5b": wan_ti2v,
    "wan2.2-a14b": wan_a14b,
    "ltx-0.9": ltx,
    "ltx-0.9.5": ltx_condition,
    "ltx-0.9.7-13b": ltx_condition,
    "ltx-0.9.8-13b-distilled": ltx_condition,
    "hunyuanvideo": hunyuan,
    "hunyuanvideo-1.5-480p": hunyuan15,
    "hunyuanvideo-1.5-720p": hunyuan15,
    "mochi-1": mochi,
    "allegro": allegro,
    "sana-video-480p": sana,
    "modelscope": modelscope,
    "ltx-2": ltx2,
    "ltx-2.3": ltx2,
    "animatediff-sd15": stable_diffusion,
    "cosmos1-7b": cosmos1,
    "cosmos2.5-2b": cosmos25,
}


def save(name: str, folder: Path) -> dict[str, Any]:
    """Build a preset's pipeline and save it; returns the options that make it generate here."""
    torch.manual_seed(0)
    target = folder / name
    BUILDERS[name]().save_pretrained(target)
    options: dict[str, Any] = {"preset": name, "model": str(target), "device": "cpu"}
    if name == "animatediff-sd15":
        motion_adapter().save_pretrained(folder / "adapter")
        options["adapter"] = str(folder / "adapter")
    return options
