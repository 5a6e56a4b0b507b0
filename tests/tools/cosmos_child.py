"""Runs a Cosmos preset with tiny random weights in a process that has stand-ins on its path.

    python cosmos_child.py PRESET FOLDER

`torchvision` has no build for torch's CPU release, and `cosmos_guardrail` fetches gated weights
when it is constructed, so neither can be used in a test. The stand-ins have the parts of their
interfaces that diffusers calls (see :func:`write_stand_ins`); the pipelines are diffusers' own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

GUARDRAIL = """
class CosmosSafetyChecker:
    def check_text_safety(self, prompt):
        return "weapon" not in prompt

    def check_video_safety(self, frames):
        return None if len(asked) and "hidden" in asked[-1] else frames

    def to(self, *args, **kwargs):
        return self


asked = []
"""
MODE = """
import enum


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
"""
RESIZE = """
import torch


def resize(image, size, interpolation):
    return torch.nn.functional.interpolate(image, size, mode=interpolation.value)
"""


def write_stand_ins(folder: Path) -> None:
    """Packages as an installer would leave them, with what diffusers calls of them."""
    files = {
        "torchvision/__init__.py": "",
        "torchvision/transforms/__init__.py": f"{MODE}\n\nfrom . import functional\n",
        "torchvision/transforms/functional.py": RESIZE,
        "cosmos_guardrail/__init__.py": GUARDRAIL,
    }
    for name, code in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    for name in ("torchvision", "cosmos_guardrail"):
        info = folder / f"{name}-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")


def add_stand_ins(folder: Path) -> None:
    """Put them on the path for diffusers; transformers must find that there is no torchvision."""
    from transformers.utils import is_torchvision_available

    assert not is_torchvision_available(), "with torchvision the stand-in is not needed"
    write_stand_ins(folder)
    sys.path.insert(0, str(folder))


def main(preset: str, folder: Path) -> None:
    add_stand_ins(folder / "stand-ins")
    import cosmos_guardrail
    import torch

    from phybench.generators.diffusers.plugin import DiffusersVideo
    from phybench.machine.digest import text_digest
    from phybench.plugins.contracts import ClipRequest, Failure
    from tools.models import tiny_pipelines

    torch.set_num_threads(1)
    sizes = {"frames": 9, "width": 32, "height": 32, "steps": 2}
    options = {**tiny_pipelines.save(preset, folder), **sizes}

    def made(*requests: ClipRequest) -> list[object]:
        generator = DiffusersVideo(**options)
        results = []
        for request in requests:
            cosmos_guardrail.asked.append(request.text)
            result = generator.generate([request])[0]
            results.append(
                [result.kind, result.message]
                if isinstance(result, Failure)
                else [list(result.frames.shape), text_digest(result.frames.tobytes().hex())]
            )
        return results

    ball, water = ClipRequest("a red ball rolls", 3), ClipRequest("water pours", 4)
    weapon, hidden = ClipRequest("a weapon", 5), ClipRequest("a hidden thing", 6)
    info = DiffusersVideo(**options).info
    found = {
        "first": made(ball, weapon, water, hidden),
        "again": made(water, ball),
        "versions": sorted(info.fingerprint["versions"]),
        "batch": info.max_batch,
    }
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
