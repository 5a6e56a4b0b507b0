"""Errors are also those of Python's own, and say how the command line ends."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from phybench.errors import (
    ConfigError,
    MissingExtraError,
    PhybenchError,
    RunLockedError,
    StorageError,
    UnknownNameError,
)
from phybench.plugins.registry import create
from phybench.runs.cells import load_run

KINDS = [
    (ConfigError, ValueError, 2),
    (UnknownNameError, LookupError, 2),
    (MissingExtraError, ImportError, 2),
    (RunLockedError, ValueError, 2),
    (StorageError, OSError, 1),
]


@pytest.mark.parametrize(("kind", "standard", "code"), KINDS)
def test_each_error_is_the_standard_one_too(
    kind: type[PhybenchError], standard: type[Exception], code: int
) -> None:
    assert issubclass(kind, PhybenchError)
    assert issubclass(kind, standard)
    assert kind.exit_code == code


def test_who_knows_nothing_of_phybench_can_catch_a_wrong_name() -> None:
    with pytest.raises(LookupError, match="Did you mean `identity`"):
        create("refiner", "identiti")
    with pytest.raises(ValueError, match="Expected a run"):
        load_run(Path("nowhere"))


def test_a_storage_error_says_its_message_and_no_number() -> None:
    assert str(StorageError("Cannot write 'x'.")) == "Cannot write 'x'."


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("Expected more."),
        UnknownNameError("refiner", "identiti", ["identity", "template"]),
        MissingExtraError("judge `vlm`", "httpx", "api"),
        StorageError("Cannot write 'x'."),
    ],
)
def test_errors_travel_between_processes(error: PhybenchError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)


def test_the_command_line_ends_as_the_error_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "phybench", "refine", "-r", "nobody", "a ball"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.startswith("error: Expected a known refiner, but got `nobody`.")
