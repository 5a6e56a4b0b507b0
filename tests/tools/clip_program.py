"""A program that makes clips, for the generator `command`."""

from __future__ import annotations

import shlex
import sys

import pytest

# A program as users have them: its own argument parser, a clip that depends on text and seed.
PROGRAM = """
import argparse, json, pathlib, sys, zlib
import numpy as np
from phybench.video import write_frames

def make(prompt, seed, output, frames=4, fps=8, width=32, height=32, **_):
    if "crash" in prompt:
        print("no memory left", file=sys.stderr)
        raise SystemExit(3)
    if "nothing" in prompt:
        return
    noise = np.random.default_rng([zlib.crc32(prompt.encode()), int(seed)])
    shape = (int(frames), int(height), int(width), 3)
    write_frames(pathlib.Path(output), noise.integers(0, 255, shape, dtype=np.uint8), float(fps))

parser = argparse.ArgumentParser()
for name in ("prompt", "prompt-file", "seed", "out", "frames", "manifest"):
    parser.add_argument(f"--{name}")
given = parser.parse_args()
if given.manifest:
    for line in open(given.manifest, encoding="utf-8"):
        make(**json.loads(line))
else:
    text = open(given.prompt_file, encoding="utf-8").read() if given.prompt_file else given.prompt
    make(text, given.seed, given.out, given.frames or 4)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("program") / "make clip.py"
    path.write_text(PROGRAM)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"
