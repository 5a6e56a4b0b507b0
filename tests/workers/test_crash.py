"""After a crash: nothing lost but what was in hand, nothing done twice, nothing torn."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tools.harness import (
    assert_only_the_deadly_prompt_failed,
    by_item,
    do_run,
    numbers,
    rows,
    run_config,
    write_prompts,
)

from phybench.errors import RunLockedError, StorageError
from phybench.runs.folder import RunWriter
from phybench.video.video_file import probe

COMMAND = [
    *(sys.executable, "-m", "phybench", "run", "-r", "identity", "-r", "shout", "-g", "bar"),
    *("-j", "brightness", "-p", "prompts.txt", "--seeds", "2", "-o", "out", "--no-plots"),
    "--quiet",
]


def killed_after(seconds: float, *extra: str) -> bool:
    """Start the run and SIGKILL it; False if it was done before."""
    process = subprocess.Popen(
        [*COMMAND, *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def finished_clips() -> list[Path]:
    return [path for path in Path("cache/clips").rglob("*.mp4") if path.parent.name != "tmp"]


def check_folder() -> None:
    """Nothing unreadable: whole clips under their final names, rows that parse."""
    for clip in finished_clips():
        assert probe(clip).frames == 2
    for name in ("items.jsonl", "scores.jsonl"):
        lines = (Path("out") / name).read_bytes().split(b"\n")[:-1] if Path("out").exists() else []
        for line in lines:
            json.loads(line)


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing_that_was_finished(examples: Path) -> None:
    prompts = write_prompts(examples, 250)
    reference = do_run(run_config(prompts), Path("reference"), Path("cache0"))
    moments = random.Random(7)
    kills = made_again = 0
    made: dict[str, int] = {}
    while kills < 50:
        if killed_after(0.3 + 0.8 * moments.random(), "--executor", "serial"):
            kills += 1
            check_folder()
            before, made = made, clip_times()
            made_again += sum(made[name] != before[name] for name in before)
            # A kill costs the batch in hand, sixteen clips of the example; when they are made
            # again is up to the starts that follow.
            assert made_again <= 16 * kills
        else:
            assert scores("out") == scores("reference")
            shutil.rmtree("out")
            shutil.rmtree("cache")
            made = {}
    final = do_run(run_config(prompts), Path("out"), Path("cache"))
    assert numbers(final) == numbers(reference)
    assert scores("out") == scores("reference")
    check_folder()


def clip_times() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in finished_clips()}


def scores(folder: str) -> dict:
    found = by_item(rows(Path(folder) / "scores.jsonl"))
    return {key: (row["sa"], row["pc"], row["status"], row["clip"]) for key, row in found.items()}


def test_a_torn_last_line_is_cut_off_and_done_again(examples: Path) -> None:
    config = run_config(write_prompts(examples, 4))
    reference = do_run(config, Path("out"), Path("cache"))
    for name in ("items.jsonl", "scores.jsonl"):
        path = Path("out") / name
        path.write_bytes(path.read_bytes()[:-25])
    resumed = do_run(config, Path("out"), Path("cache"))
    assert numbers(resumed) == numbers(reference)
    assert 1 <= resumed.counts["generator"].total == resumed.counts["generator"].cached <= 2
    check_folder()


def test_a_deleted_clip_is_made_again(examples: Path) -> None:
    config = run_config(write_prompts(examples, 4))
    do_run(config, Path("one"), Path("cache"))
    gone = next(Path("cache/clips").rglob("*.mp4"))
    before = gone.read_bytes()
    gone.unlink()
    again = do_run(config, Path("two"), Path("cache"))
    assert again.counts["generator"].cached == 15
    assert gone.read_bytes() == before


def test_a_second_process_on_the_same_run_is_refused_with_the_holder(examples: Path) -> None:
    config = run_config(write_prompts(examples, 2))
    with RunWriter(Path("out")):
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on "):
            do_run(config, Path("out"), Path("cache"))
        second = subprocess.run([*COMMAND], capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 2
    assert f"process {os.getpid()} on " in second.stderr
    assert do_run(config, Path("out"), Path("cache")).failures == 0


@pytest.mark.slow
def test_two_runs_can_share_a_cache_at_the_same_time(examples: Path) -> None:
    prompts = write_prompts(examples, 40)
    reference = do_run(run_config(prompts), Path("reference"), Path("cache0"))
    commands = [[*COMMAND, "-o", f"twin{number}"] for number in range(2)]
    twins = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in commands
    ]
    for twin in twins:
        assert twin.wait(120) == 0, twin.stderr.read().decode() if twin.stderr else ""
        twin.communicate()
    for number in range(2):
        outcome = do_run(run_config(prompts), Path(f"twin{number}"), Path("cache"))
        assert outcome.counts["refiner"].total == 0
        assert numbers(outcome) == numbers(reference)


@pytest.mark.slow
@pytest.mark.parametrize("full", ["cache", "run"])
def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(
    examples: Path, small_disk: Path, full: str
) -> None:
    config = run_config(write_prompts(examples, 150))
    reference = do_run(config, Path("reference"), Path("cache0"))
    cache = small_disk / "cache" if full == "cache" else Path("cache")
    out = small_disk / "out" if full == "run" else Path("out")
    with pytest.raises(StorageError, match=r"No space left|full"):
        do_run(config, out, cache)
    for path in out.glob("*.jsonl"):
        assert not path.read_bytes() or path.read_bytes().endswith(b"\n")
        rows(path)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert numbers(do_run(config, out, cache)) == numbers(reference)


@pytest.mark.slow
def test_a_dying_worker_costs_its_unit_not_the_run(deadly_judge: Path) -> None:
    config = run_config(write_prompts(deadly_judge, 12), judges=("deadly",))
    outcome = do_run(config, Path("out"), Path("cache"), "local", 2)
    assert_only_the_deadly_prompt_failed(outcome, Path("out"))


@pytest.mark.slow
def test_ctrl_c_leaves_a_resumable_run_and_says_how(examples: Path) -> None:
    prompts = write_prompts(examples, 800)
    process = subprocess.Popen(
        [*COMMAND[:-1], "--executor", "local"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    items = Path("out/items.jsonl")
    deadline = time.monotonic() + 60
    while not (items.exists() and items.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"same command" in words
    assert b"Traceback" not in words
    assert b"Traceback" not in words
    check_folder()
    finished = do_run(run_config(prompts), Path("out"), Path("cache"))
    assert all(cell.counts["scored"] == 1600 for cell in finished.cells)


@pytest.mark.parametrize("said", ["", '{"kind": "judge", "na', '{"kind": "judge"}'])
def test_a_worker_whose_parent_stopped_in_mid_sentence_ends_quietly(said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "phybench.workers.child"],
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
