"""`phybench compare` on 100 000 items and `phybench report` on 10 000: seconds and peak memory.

Each command runs in a process of its own, interpreter and imports included, on a run folder that
was written beforehand (two refiners, one generator, one judge, random scores).

    python benchmarks/analysis_scale.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEEDS = 2


def write_run(folder: Path, items: int) -> None:
    """A run with this many items over two arms."""
    import numpy as np

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from tools.made_runs import make_run

    rng = np.random.default_rng(0)
    shape = (items // 2 // SEEDS, SEEDS)
    arms = {
        (refiner, "tabletop"): tuple(rng.integers(1, 6, shape).astype(float) for _ in range(2))
        for refiner in ("identity", "template")
    }
    make_run(folder, arms)


def measured(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MiB of a command."""
    command = [sys.executable, "-m", "phybench", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed.")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", type=int, default=100_000)
    parser.add_argument("--report", type=int, default=10_000)
    parser.add_argument("--write", nargs=2, metavar=("FOLDER", "ITEMS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_run(Path(arguments.write[0]), int(arguments.write[1]))
        return
    print("| command | items | seconds | peak MiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        jobs = (
            ("compare", arguments.compare, ["--baseline", "identity"]),
            ("report", arguments.report, []),
        )
        for command, items, options in jobs:
            run = Path(name) / command
            # Elsewhere, because a process's peak counts what its parent held when it was started.
            subprocess.run([sys.executable, __file__, "--write", run, str(items)], check=True)
            seconds, peak = measured([command, str(run), *options])
            print(f"| `{command}` | {items} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
