from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tools.clip_program import program

from phybench.errors import ConfigError
from phybench.generators.command import Command
from phybench.plugins.contracts import ClipRequest, Failure, Generator, VideoFile, VideoSettings
from phybench.plugins.registry import create
from phybench.testing import check_generator
from phybench.video.video_file import probe, read_frames

__all__ = ["program"]  # a fixture


def make(
    program: str, rest: str = "--prompt={prompt} --seed={seed} --out={output}", **options: Any
):
    return Command(run=f"{program} {rest}", version="1", **options)


def clip(result: object) -> VideoFile:
    assert isinstance(result, VideoFile), result
    return result


def failure(result: object, kind: str) -> Failure:
    assert isinstance(result, Failure), result
    assert result.kind == kind, result
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    "rest",
    ["--prompt={prompt} --seed={seed} --out={output}",
     "--prompt-file {prompt_file} --seed {seed} --out {output}",
     "--manifest {manifest}"],
)  # fmt: skip
def test_contract(program: str, rest: str) -> None:
    requests = [ClipRequest("a ball falls", 1), ClipRequest("water\npours; \"rm\" $(x) 'y'", 2)]
    batch = 2 if "manifest" in rest else 1
    check_generator(lambda: make(program, rest, batch=batch), requests)


@pytest.mark.parametrize(
    "text",
    [
        "$(touch pwned) `id` ; rm -rf / | cat > x & \\ \" '",
        "{output} {seed} {prompt}",
        "ünïcode 🎾",
    ],
)
def test_text_reaches_the_program_unchanged(program: str, tmp_path: Path, text: str) -> None:
    by_argument = make(program, folder=str(tmp_path))
    by_file = make(program, "--prompt-file {prompt_file} --seed {seed} --out {output}")
    by_manifest = make(program, "--manifest {manifest}")
    clips = [
        read_frames(clip(each.generate([ClipRequest(text, 5)])[0]).path)[0]
        for each in (by_argument, by_file, by_manifest)
    ]
    assert (clips[0] == clips[1]).all()
    assert (clips[0] == clips[2]).all()
    assert not list(tmp_path.iterdir())


def test_text_that_looks_like_an_option_is_not_passed_alone(program: str) -> None:
    alone = make(program, "--seed {seed} --out {output} --prompt {prompt}")
    failure(alone.generate([ClipRequest("--seed=7", 1)])[0], "request")
    clip(make(program).generate([ClipRequest("--seed=7", 1)])[0])


def test_crash_names_exit_code_and_last_words(program: str) -> None:
    results = make(program).generate([ClipRequest("crash", 1), ClipRequest("a ball", 1)])
    crashed = failure(results[0], "crash")
    assert "exit code 3: no memory left" in crashed.message
    clip(results[1])


def test_crash_in_a_batch_takes_no_neighbour_with_it(program: str) -> None:
    texts = ["a ball", "crash", "nothing", "water"]
    batched = make(program, "--manifest {manifest}", batch=4)
    results = batched.generate([ClipRequest(text, 1) for text in texts])
    kinds = [result.kind if isinstance(result, Failure) else "clip" for result in results]
    assert kinds == ["clip", "crash", "no-output", "clip"]


def test_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "hang.sh"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    command = Command(run=f"{script} {{prompt}} {{output}}", version="1", timeout_s=0.5)
    begin = time.monotonic()
    assert failure(command.generate([ClipRequest("a", 1)])[0], "timeout").retryable
    assert time.monotonic() - begin < 10
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _runs(child):
        pass
    assert not _runs(child)


def _runs(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    try:
        os.kill(process, 0)
        return status.read_text().split(")")[1].split()[0] != "Z" if status.exists() else True
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_settings_go_where_the_command_has_a_place(program: str) -> None:
    rest = "--prompt={prompt} --seed={seed} --out={output} --frames={frames}"
    command = make(program, rest, frames=6)
    native, asked = command.generate(
        [ClipRequest("a", 1), ClipRequest("a", 1, settings=VideoSettings(frames=9))]
    )
    assert probe(clip(native).path).frames == 6
    assert probe(clip(asked).path).frames == 9
    wide = ClipRequest("a", 1, settings=VideoSettings(width=64))
    assert "no {width}" in failure(command.generate([wide])[0], "settings").message
    batched = make(program, "--manifest {manifest}")
    assert probe(clip(batched.generate([wide])[0]).path).width == 64


@pytest.mark.parametrize(
    ("run", "options", "said"),
    [
        ("", {}, "empty"),
        ("cat 'open", {}, "No closing quotation"),
        ("cat {prompt}", {}, "{output}"),
        ("cat {output}", {}, "{prompt}"),
        ("cat {prompt} {output} {size}", {}, "size"),
        ("cat {prompt} {output} {fps}", {}, "`fps` to be given"),
        ("cat {prompt} {output}", {"batch": 2}, "batch"),
        ("cat {prompt} {output}", {"folder": "/nowhere/at/all"}, "folder"),
        ("no-such-program-anywhere {prompt} {output}", {}, "start a program"),
    ],
)
def test_commands_that_cannot_work_are_refused(
    run: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Command(run=run, version="1", **options)
    assert said in str(caught.value)


def test_version_and_command_are_the_fingerprint(program: str) -> None:
    base = make(program)
    assert isinstance(base, Generator)
    assert Command(run=f"{program} {{prompt}} {{output}}", version="1").info != base.info
    run = f"{program} --prompt={{prompt}} --seed={{seed}} --out={{output}}"
    assert Command(run=run, version="2").info.fingerprint != base.info.fingerprint
    with pytest.raises(ConfigError, match="`version`"):
        create("generator", "command:run=cat")


def test_temporary_files_are_removed_at_the_end(program: str) -> None:
    command = make(program)
    path = clip(command.generate([ClipRequest("a", 1)])[0]).path
    command.close()
    assert not path.exists()
