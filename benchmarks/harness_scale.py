"""Harness cost: time per item, memory and resume time, beside inspect-ai and lm-eval.

Run ``python benchmarks/harness_scale.py --help``. Every tool runs the same number of items with
its own do-nothing model in one process started for it, one tool after the other on one machine.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import phybench

_INSPECT = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
n = int(sys.argv[1])
data = [Sample(input=f"a ball number {i} rolls", target="ball") for i in range(n)]
eval(Task(dataset=data, scorer=includes()), model="mockllm/model", display="none")
"""
_LM_EVAL = """
import json, pathlib, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
n = int(sys.argv[1])
rows = [json.dumps({"q": f"a ball number {i} rolls", "a": "ball"}) for i in range(n)]
pathlib.Path("data.jsonl").write_text("\\n".join(rows))
pathlib.Path("local.yaml").write_text('''
task: local
dataset_path: json
dataset_kwargs: {data_files: {test: data.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
metric_list: [{metric: exact_match}]
''')
simple_evaluate(model="dummy", tasks=["local"],
                task_manager=TaskManager(include_path=".", include_defaults=False))
"""


@dataclass(frozen=True)
class Cost:
    tool: str
    items: int
    seconds: float
    peak_mib: float

    @property
    def ms_per_item(self) -> float:
        return 1000 * self.seconds / self.items


def timed(tool: str, items: int, command: Sequence[str], folder: Path) -> Cost:
    """Run one command; its wall time and the peak memory of its largest process."""
    env = {**os.environ, "PHYBENCH_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    before = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{tool} ended with status {status}:\n{(folder / 'log').read_text()[-2000:]}")
    return Cost(tool, items, time.perf_counter() - before, usage.ru_maxrss / 1024)


def write_inputs(folder: Path, items: int) -> None:
    """Prompts with clips that are known by name only and labels for them: no video, no model."""
    with (folder / "clips.csv").open("w", newline="") as clips:
        writer = csv.writer(clips)
        writer.writerow(["videopath", "prompt", "sa", "pc"])
        writer.writerows(
            [f"c{i}.mp4", f"a ball number {i} rolls", 1 + i % 5, 1 + i % 4] for i in range(items)
        )


def phybench_command(*more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "phybench", "run", "-r", "identity", "-o", "out", "--quiet"),
        *("-g", "files:manifest=clips.csv,clips=absent", "-j", "labels:file=clips.csv"),
        *("--executor", "serial", *more),
    ]


def measure(items: int, large: int, inspect: str, lm_eval: str) -> list[Cost]:
    costs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, items)
        costs.append(timed("phybench", items, phybench_command(), folder))
        costs.append(timed("phybench, same again", items, phybench_command(), folder))
    for tool, python, code in (("inspect-ai", inspect, _INSPECT), ("lm-eval", lm_eval, _LM_EVAL)):
        if python:
            with tempfile.TemporaryDirectory() as name:
                command = [python, "-c", code, str(items)]
                costs.append(timed(tool, items, command, Path(name)))
    with tempfile.TemporaryDirectory() as name:
        costs += scale(Path(name), large)
    return costs


def scale(folder: Path, items: int) -> list[Cost]:
    """A large run, then the same command with half of its rows gone."""
    write_inputs(folder, items)
    whole = timed("phybench", items, phybench_command("--no-plots"), folder)
    for file in ("items.jsonl", "scores.jsonl"):
        lines = (folder / "out" / file).read_bytes().splitlines(keepends=True)
        (folder / "out" / file).write_bytes(b"".join(lines[: items // 2]))
    start = first_work(folder)
    rest = timed(
        "phybench, second half", items - items // 2, phybench_command("--no-plots"), folder
    )
    return [whole, Cost("phybench, resumed: until first work", items, start, 0.0), rest]


def first_work(folder: Path) -> float:
    """Seconds from starting a resumed run to its first new row; the run is then killed."""
    rows = folder / "out" / "items.jsonl"
    size = rows.stat().st_size
    before = time.perf_counter()
    env = {**os.environ, "PHYBENCH_CACHE": str(folder / "cache")}
    process = subprocess.Popen(phybench_command("--no-plots"), cwd=folder, env=env)
    while rows.stat().st_size <= size and process.poll() is None:
        time.sleep(0.005)
    seconds = time.perf_counter() - before
    process.kill()
    process.wait()
    return seconds


def report(costs: Sequence[Cost], argv: Sequence[str]) -> str:
    lines = [
        "# Harness cost",
        "",
        f"Command: `python {' '.join(argv)}`, phybench {phybench.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores. "
        "No model and no video: what is left is the harness.",
        "",
        "| tool | items | seconds in all | ms per item | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for cost in costs:
        peak = f"{cost.peak_mib:.0f}" if cost.peak_mib else ""
        lines.append(
            f"| {cost.tool} | {cost.items} | {cost.seconds:.2f} | {cost.ms_per_item:.2f} | {peak} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--inspect", default="", help="Python that has inspect-ai")
    parser.add_argument("--lm-eval", default="", help="Python that has lm-eval")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    costs = measure(given.items, given.large, given.inspect, given.lm_eval)
    shown = [
        "benchmarks/harness_scale.py",
        "--items",
        str(given.items),
        "--large",
        str(given.large),
    ]
    text = report(costs, [*shown, *(["--inspect PYTHON"] if given.inspect else [])])
    print(text)
    if given.output:
        given.output.write_text(text)


if __name__ == "__main__":
    main()
