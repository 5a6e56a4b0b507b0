r"""Refine a prompt, then give it to a diffusers pipeline.

    python examples/refine_before_diffusers.py --model /path/to/CogVideoX-2b \
        --refiner template --output ball.mp4 "a ball rolls down a hill"

The three lines that matter are marked. Any refiner SPEC works (`phyprompt`, `gpt-4o`,
`local:model=/path/to/Qwen2.5-7B-Instruct`, ...), and any text-to-video pipeline.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline

from phybench.errors import PhybenchError
from phybench.refiners.rewriter import load_rewriter  # 1
from phybench.video.video_file import write_frames


def main() -> int:
    """Make one clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompt")
    parser.add_argument("--model", required=True, help="folder or hub id of a pipeline")
    parser.add_argument("--refiner", default="template", help="refiner SPEC")
    parser.add_argument("--output", type=Path, default=Path("clip.mp4"))
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--fps", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    try:
        rewrite = load_rewriter(options.refiner)  # 2
        prompt = rewrite(options.prompt, seed=options.seed)  # 3
    except PhybenchError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{prompt}\n")

    cuda = torch.cuda.is_available()
    pipe = DiffusionPipeline.from_pretrained(
        options.model, dtype=torch.bfloat16 if cuda else torch.float32
    ).to("cuda" if cuda else "cpu")
    frames = pipe(
        prompt,
        num_frames=options.frames,
        height=options.height,
        width=options.width,
        num_inference_steps=options.steps,
        generator=torch.Generator().manual_seed(options.seed),
        output_type="np",
    ).frames[0]
    pixels = (np.asarray(frames) * 255).round().astype(np.uint8)
    write_frames(options.output, pixels, options.fps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
