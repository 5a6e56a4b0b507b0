"""One definition of a run's options, filled by flags, YAML and Python keywords."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import phybench
from phybench.cli.main import app
from phybench.cli.options import _shared
from phybench.errors import ConfigError
from phybench.planning.config import OPTIONS, RunOptions, run_options

BASE = {"generators": "tabletop", "refiners": "identity", "judges": "kinematic"}
GIVEN = {
    "refiners": (["-r", "template"], "template"),
    "generators": (["-g", "tabletop:as=x"], "tabletop:as=x"),
    "judges": (["-j", "oracle"], ["oracle"]),
    "prompts": (["-p", "tabletop-test"], "tabletop-test"),
    "limit": (["--limit", "3"], 3),
    "seeds": (["--seeds", "4"], 4),
    "seed": (["--seed", "7"], 7),
    "frames": (["--frames", "8"], 8),
    "fps": (["--fps", "4.5"], 4.5),
    "width": (["--width", "64"], 64),
    "height": (["--height", "32"], 32),
    "settings": (["--fps", "4", "--frames", "8"], {"fps": 4.0, "frames": 8}),
    "view": (["--view", "fps=4,size=64x32"], "fps=4,size=64x32"),
    "retry_over_budget": (["--retry-over-budget"], True),
    "output": (["-o", "out"], "out"),
    "executor": (["--executor", "serial"], "serial"),
    "workers": (["--workers", "2"], 2),
    "cache": (["--cache", "kept"], "kept"),
    "plots": (["--no-plots"], False),
    "quiet": (["--quiet"], True),
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch):
    """Calls one of the fronts and returns the options that it made."""
    found: list[RunOptions] = []

    class StoppedError(Exception):
        """The options are read."""

    def stop(options: RunOptions, **_: object) -> None:
        found.append(options)
        raise StoppedError

    for name in ("carry_out", "estimate_cost"):
        monkeypatch.setattr(f"phybench.api.{name}", stop)

    def call(front, *arguments, **keywords) -> RunOptions:
        if callable(front):
            with pytest.raises(StoppedError):
                front(*arguments, **keywords)
        else:
            done = CliRunner().invoke(app, [front, *arguments])
            assert isinstance(done.exception, StoppedError), done.output
        return found.pop()

    return call


def test_every_option_is_tested_and_typed_on_the_command_line() -> None:
    assert set(GIVEN) == set(OPTIONS)
    flags = set(inspect.signature(_shared).parameters) - {"config"}
    assert flags == set(OPTIONS) - {"settings"}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_the_same_as_flag_key_and_keyword(name: str, read, tmp_path: Path) -> None:
    flags, value = GIVEN[name]
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({**BASE, name: value}))
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump(BASE))
    expected = read(phybench.run, **{**BASE, name: value})
    assert expected != run_options(BASE), "the option changes something"
    for command in ("run", "plan"):
        assert read(command, "--config", str(base), *flags) == expected
        assert read(command, "--config", str(file)) == expected
    assert read(phybench.plan, **{**BASE, name: value}) == expected
    assert read(phybench.run, str(file)) == expected


def test_flags_win_over_the_file_field_by_field(tmp_path: Path, read) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "settings: {frames: 16, fps: 2}\nplots: false\nquiet: true\nexecutor: serial\nseeds: 3\n"
    )
    found = read("run", "--config", str(file), "--fps", "8", "--plots", "--seeds", "1")
    settings = found.config.settings
    assert (settings.frames, settings.fps, settings.width) == (16, 8, None)
    assert (found.plots, found.quiet, found.executor, found.config.seeds) == (
        True,
        True,
        "serial",
        1,
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": "two"}, "Expected `seeds` to be int, but got 'two'."),
        ({"seeds": True}, "Expected `seeds` to be int, but got True."),
        ({"quiet": 1}, "Expected `quiet` to be bool, but got 1."),
        ({"output": 1}, "Expected `output` to be a path, but got 1."),
        ({"prompts": []}, "Expected `prompts` to name a prompt set"),
        ({"seed_s": 1}, "Expected a known option, but got `seed_s`. Did you mean `seed"),
        ({"refiners": [object()]}, "Expected a SPEC or a mapping with `name`"),
        ({"frames": 0}, "Expected `frames` to be > 0"),
    ],
)
def test_a_wrong_option_is_named(given: dict, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        phybench.plan(**{**BASE, **given})
    assert words in str(error.value)


def test_a_wrong_value_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("workers: many\n")
    with pytest.raises(ConfigError) as error:
        phybench.plan(file)
    assert str(error.value) == f"Expected `workers` in {str(file)!r} to be int, but got 'many'."
