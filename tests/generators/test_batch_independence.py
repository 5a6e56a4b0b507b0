"""The same text and seed give the same clip, alone or in a batch, whoever the neighbours are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import torch
from tools.clip_program import program
from tools.models import tiny_pipelines
from tools.models.lavie_checkpoint import checkpoint as lavie_checkpoint
from tools.models.videocrafter2_checkpoint import checkpoint as videocrafter2_checkpoint

from phybench.machine.digest import file_digest, text_digest
from phybench.plugins.contracts import ClipRequest, Frames, VideoFile
from phybench.plugins.registry import create

__all__ = ["lavie_checkpoint", "program", "videocrafter2_checkpoint"]
REQUESTS = [
    ClipRequest("a red ball rolls down the ramp", 7),
    ClipRequest("a red ball rolls down the ramp", 8),
    ClipRequest("water is poured into a glass, and then, slowly, out of it again", 7),
    ClipRequest("a cup", 2**31 + 5),
]
ORDERS = ([0, 1, 2, 3], [2, 0, 3, 1])


@pytest.fixture(scope="module")
def specs(
    tmp_path_factory: pytest.TempPathFactory,
    program: str,
    videocrafter2_checkpoint: Path,
    lavie_checkpoint: Path,
) -> dict[str, Callable[[int], str]]:
    """Per family, its SPEC for a batch size."""
    folder = tmp_path_factory.mktemp("families")
    size = "frames=3,width=32,height=32,steps=2,device=cpu"
    tokenizer = videocrafter2_checkpoint / "tokenizer"
    ports = {
        "videocrafter2": f"videocrafter2:model={videocrafter2_checkpoint},tokenizer={tokenizer}",
        "lavie": f"lavie:model={lavie_checkpoint}",
    }
    pipelines = {
        name: f"{name}:model={tiny_pipelines.save(name, folder)['model']},frames=9,width=16,"
        "height=16,steps=2,device=cpu"
        for name in ("cogvideox", "wan2.1-1.3b")
    }
    manifest = f"run='{program} --manifest {{manifest}}'"
    return {
        "tabletop": lambda _: "tabletop",
        **{name: lambda _, spec=spec: f"{spec},{size}" for name, spec in ports.items()},
        **{
            name: lambda batch, spec=spec: f"{spec},batch={batch}"
            for name, spec in pipelines.items()
        },
        "command": lambda batch: f"command:{manifest},version=1,batch={batch}",
    }


def digests(made: Sequence[Any]) -> list[str]:
    return [digest(one) for one in made]


def digest(made: object) -> str:
    if isinstance(made, VideoFile):
        found = file_digest(made.path)
        made.path.unlink()
        return found
    assert isinstance(made, Frames), made
    return text_digest(str(made.frames.shape), made.frames.tobytes().hex(), str(made.fps))


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["tabletop", "cogvideox", "wan2.1-1.3b", "videocrafter2", "lavie", "command"]
)
def test_batches_of_1_2_and_4_give_the_same_clips(
    family: str, specs: dict[str, Callable[[int], str]]
) -> None:
    torch.set_num_threads(1)
    single = create("generator", specs[family](1))
    alone = digests(single.generate(REQUESTS))
    assert len(set(alone)) == len(REQUESTS)
    for batch in (2, 4):
        generator = create("generator", specs[family](batch))
        for order in ORDERS:
            asked = [REQUESTS[index] for index in order]
            made = [
                one
                for first in range(0, len(asked), batch)
                for one in digests(generator.generate(asked[first : first + batch]))
            ]
            assert made == [alone[index] for index in order]
