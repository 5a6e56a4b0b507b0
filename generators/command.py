"""The generator ``command``: any program that turns a text into a video file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from phybench.errors import ConfigError
from phybench.plugins.contracts import ClipRequest, Failure, PluginInfo, VideoFile, VideoSettings

if TYPE_CHECKING:
    from phybench.plugins.abilities import PlannedRun

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_SETTINGS = VideoSettings.__slots__
_KNOWN = frozenset({"prompt", "prompt_file", "seed", "k", "output", "manifest", *_SETTINGS})
_TAIL = 2000
_KILL_S = 10.0


class Command:
    """Runs a program per clip, or per batch, in its own environment; never through a shell.

    The command is split like a shell command and its placeholders are replaced afterwards, inside
    single arguments, so that no text of a prompt can become another argument or command:
    ``{prompt}`` (the text), ``{prompt_file}`` (a UTF-8 file that holds it), ``{seed}``, ``{k}``,
    ``{output}`` (the file to write), ``{frames}``, ``{fps}``, ``{width}``, ``{height}``. With
    ``{manifest}`` the program gets a JSON-lines file with these values per clip instead, and makes
    a whole batch.

    Args:
        run: The command, e.g. ``/opt/model/bin/python make.py --prompt={prompt} --seed={seed}
            --out={output}``.
        version: Tells states of the program apart (a commit, the weights' name); it is part of the
            fingerprint, since the program itself cannot be asked.
        name: Name in tables.
        licence: Licence of the model behind the command.
        folder: Working directory; by default the current one.
        timeout_s: Longest time for one run of the program, in seconds.
        batch: Most clips per run; above 1 only with ``{manifest}``.
        frames: Native number of frames; needed if the command has ``{frames}``.
        fps: Native frame rate, likewise.
        width: Native width in pixels, likewise.
        height: Native height in pixels, likewise.
        gpu_gib: GPU memory that the program needs, in GiB.

    Raises:
        ConfigError: If the program is not there or the command lacks or misuses a placeholder.
    """

    def __init__(
        self,
        *,
        run: str,
        version: str,
        name: str = "command",
        licence: str = "unknown",
        folder: str = "",
        timeout_s: Annotated[float, Field(gt=0)] = 1800.0,
        batch: Annotated[int, Field(ge=1)] = 1,
        frames: Annotated[int, Field(ge=1)] | None = None,
        fps: Annotated[float, Field(gt=0)] | None = None,
        width: Annotated[int, Field(ge=2)] | None = None,
        height: Annotated[int, Field(ge=2)] | None = None,
        gpu_gib: Annotated[float, Field(ge=0)] = 0.0,
    ) -> None:
        self._arguments = _split(run)
        self._placeholders = set(_PLACEHOLDER.findall(run))
        self._native = VideoSettings(frames, fps, width, height)
        self._batched = "manifest" in self._placeholders
        self._folder = Path(folder).expanduser() if folder else Path.cwd()
        self._timeout_s = timeout_s
        self._check(batch)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._made = 0
        self._info = PluginInfo(
            name=name,
            revision=version,
            licence=licence,
            fingerprint={
                "generator": "command-1",
                "run": self._arguments,
                "version": version,
                "native": [frames, fps, width, height],
            },
            max_batch=batch,
            video=self._native,
            gpu_gib=gpu_gib,
        )

    @property
    def info(self) -> PluginInfo:
        """Name, version and the command."""
        return self._info

    def check(self, plan: PlannedRun) -> list[str]:
        """Video settings of the plan that the command has no placeholder for."""
        problem = self._settings_problem(plan.settings)
        return [problem] if problem else []

    def generate(self, requests: Sequence[ClipRequest]) -> list[VideoFile | Failure]:
        """Make one clip per request; a clip that the program did not write is a failure."""
        if not self._batched:
            return [self._one(request) for request in requests]
        return self._many(requests)

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _check(self, batch: int) -> None:
        placeholders = self._placeholders
        if unknown := placeholders - _KNOWN:
            raise ConfigError(
                f"Expected placeholders of `run` to be among {sorted(_KNOWN)}, but got "
                f"{sorted(unknown)}."
            )
        if not self._batched and not (placeholders & {"prompt", "prompt_file"}):
            raise ConfigError("Expected `run` to hold {prompt} or {prompt_file}.")
        if not self._batched and "output" not in placeholders:
            raise ConfigError("Expected `run` to hold {output}, the file to write.")
        if batch > 1 and not self._batched:
            raise ConfigError(f"Expected `batch` to be 1 without {{manifest}}, but got {batch}.")
        for name in _SETTINGS:
            if name in placeholders and getattr(self._native, name) is None:
                raise ConfigError(f"Expected `{name}` to be given, because `run` holds {{{name}}}.")
        if not self._folder.is_dir():
            raise ConfigError(f"Expected `folder` to be a folder, but got {self._folder}.")
        if shutil.which(self._arguments[0], path=None) is None and not self._beside():
            raise ConfigError(f"Expected `run` to start a program, but got {self._arguments[0]!r}.")

    def _beside(self) -> bool:
        return os.access(self._folder / self._arguments[0], os.X_OK)

    def _settings_problem(self, settings: VideoSettings) -> str:
        takes = self._placeholders if not self._batched else set(_SETTINGS)
        asked = [name for name in _SETTINGS if getattr(settings, name) is not None]
        refused = [name for name in asked if name not in takes]
        if not refused:
            return ""
        return (
            f"Expected no `{refused[0]}` for `{self._info.name}`: its command has no "
            f"{{{refused[0]}}}."
        )

    def _one(self, request: ClipRequest) -> VideoFile | Failure:
        values = self._values(request)
        refused = self._refused(request)
        if refused:
            return refused
        if "prompt_file" in self._placeholders:
            Path(values["prompt_file"]).write_text(request.text, encoding="utf-8")
        failure = self._run(values)
        return failure or _written(Path(values["output"]))

    def _many(self, requests: Sequence[ClipRequest]) -> list[VideoFile | Failure]:
        """One run for all; if it fails, one run each, so that no clip takes the others with it."""
        refused = [self._refused(request) for request in requests]
        open_ones = [r for r, no in zip(requests, refused, strict=True) if no is None]
        made = iter(self._batch(open_ones) if open_ones else [])
        return [next(made) if no is None else no for no in refused]

    def _batch(self, requests: Sequence[ClipRequest]) -> list[VideoFile | Failure]:
        values = [self._values(request) for request in requests]
        manifest = self._file("jsonl")
        lines = [
            _manifest_line(request, each) for request, each in zip(requests, values, strict=True)
        ]
        manifest.write_text("".join(lines), encoding="utf-8")
        failure = self._run({"manifest": str(manifest)})
        if failure is None:
            return [_written(Path(each["output"])) for each in values]
        if len(requests) == 1:
            return [failure]
        return [result for request in requests for result in self._batch([request])]

    def _refused(self, request: ClipRequest) -> Failure | None:
        if problem := self._settings_problem(request.settings):
            return Failure("settings", problem)
        alone = "{prompt}" in self._arguments and request.text.startswith("-")
        if alone or "\0" in request.text:
            return Failure(
                "request",
                "Expected a text that the program cannot take for an option. Pass it as "
                "`--prompt={prompt}` or in a file with {prompt_file}.",
            )
        return None

    def _values(self, request: ClipRequest) -> dict[str, str]:
        settings = {
            name: getattr(request.settings, name) or getattr(self._native, name)
            for name in _SETTINGS
        }
        values = {
            "prompt": request.text,
            "seed": str(request.seed),
            "k": str(request.k),
            "output": str(self._file("mp4")),
            **{name: f"{value:g}" for name, value in settings.items() if value is not None},
        }
        if "prompt_file" in self._placeholders:
            values["prompt_file"] = str(self._file("txt"))
        return values

    def _file(self, suffix: str) -> Path:
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="phybench-command-")
        self._made += 1
        return Path(self._temporary.name) / f"{self._made:06d}.{suffix}"

    def _run(self, values: Mapping[str, str]) -> Failure | None:
        arguments = [_filled(argument, values) for argument in self._arguments]
        with tempfile.TemporaryFile() as log:
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                return Failure("crash", f"The program could not be started: {error}.")
            code = _wait(process, self._timeout_s)
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            tail = log.read().decode("utf-8", "replace").strip()
        if code is None:
            message = f"The program ran longer than {self._timeout_s:g} s: {tail}"
            return Failure("timeout", message, retryable=True)
        if code:
            return Failure("crash", f"The program ended with exit code {code}: {tail}")
        return None


def _split(run: str) -> list[str]:
    try:
        arguments = shlex.split(run)
    except ValueError as error:
        raise ConfigError(f"Expected `run` to be a command, but got {run!r}: {error}.") from error
    if not arguments:
        raise ConfigError("Expected `run` to be a command, but it is empty.")
    return arguments


def _filled(argument: str, values: Mapping[str, str]) -> str:
    """One pass, so that a prompt that holds ``{output}`` keeps it."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], argument)


def _manifest_line(request: ClipRequest, values: Mapping[str, str]) -> str:
    line: dict[str, Any] = {"prompt": request.text, "seed": request.seed, "k": request.k}
    line["output"] = values["output"]
    line |= {name: float(values[name]) for name in _SETTINGS if name in values}
    return json.dumps(line) + "\n"


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """The exit code, or ``None`` after the program and all it started were ended."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_S)
        return None
    finally:
        # Whatever ended the wait, Ctrl-C too: the program must not outlive us.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _written(path: Path) -> VideoFile | Failure:
    if not path.is_file() or not path.stat().st_size:
        return Failure("no-output", "The program ended well but wrote no video to {output}.")
    return VideoFile(path)
