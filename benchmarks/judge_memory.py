"""Peak memory of the judge `videophy2` on few and on many clips: it must not grow with them.

Each number of clips is judged in a process of its own, all in one call, and the process reports its
highest resident size. Clips are distinct files; the checkpoint is tiny but sees 224 pixels, so that
each clip that were kept would add 4.8 MB of frames and 19 MB of pixels.

    python benchmarks/judge_memory.py --clips 100 1000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def prepare(folder: Path, clips: int) -> None:
    """Write a checkpoint and clips."""
    import tools.models.owl_checkpoint as tiny

    config = tiny.sizes(vision={"image_size": 224, "patch_size": 32})
    tiny.write_checkpoint(folder / "judge", config, tiny.random_state(config))
    for number in range(clips):
        tiny.write_clip(folder / f"{number}.mp4", seed=number, frames=16, size=(64, 96))


def judge(folder: Path, clips: int) -> str:
    """Judge the first clips; a row of the table."""
    import torch

    from phybench import Clip, JudgeRequest, Score
    from phybench.judges.videophy2 import VideoPhy2

    torch.set_num_threads(1)
    requests = [
        JudgeRequest(Clip(folder / f"{number}.mp4", str(number), frames=16), f"ball {number}")
        for number in range(clips)
    ]
    plugin = VideoPhy2(model=str(folder / "judge"), reading="expected", batch=4, max_new_tokens=3)
    started = time.perf_counter()
    results = plugin.score(requests)
    seconds = time.perf_counter() - started
    scored = sum(isinstance(result, Score) for result in results)
    # Unlike getrusage, this leaves out what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return f"| {clips} | {scored} | {peak:.0f} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        print(judge(arguments.folder, arguments.clips[0]))
        return
    print("| clips | scored | peak MiB | seconds |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), max(arguments.clips))
        for count in arguments.clips:
            command = [sys.executable, __file__, "--folder", name, "--clips", str(count)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
