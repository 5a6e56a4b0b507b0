"""A run that will not fit on the disk is refused before any work."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tools.harness import do_run, phybench, run_config, write_prompts

from phybench import ConfigError, PluginInfo, VideoSettings
from phybench.planning.disk_space import check_disk, clip_bytes
from phybench.planning.plan import Plan, build_plan
from phybench.units.cache import Cache
from phybench.video.common_view import View


def with_room(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=int(free)))


def checked(plan: Plan) -> None:
    with Cache(Path("cache")) as cache:
        check_disk(plan, cache, Path("out"))


ROWS = 2 * 4 * 1024
"""Four items, an item and a score row each, of at most 1 KiB."""
CLIPS = 4 * 2 * 16 * 16 * 0.2
"""Their clips: two frames of 16 x 16 pixels at a fifth of a byte."""


def test_what_does_not_fit_is_refused_and_what_fits_is_not(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows count twice, since the cache lies on the same disk."""
    plan = build_plan(run_config(write_prompts(examples, 2), seeds=1))
    with_room(monkeypatch, 2 * ROWS + CLIPS + 1)
    checked(plan)
    with_room(monkeypatch, 2 * ROWS + CLIPS - 1)
    with pytest.raises(ConfigError, match=r"of new clips in .*Name another cache folder"):
        checked(plan)
    with_room(monkeypatch, ROWS - 1)
    with pytest.raises(ConfigError, match=r"the run's rows in .*Name another folder with -o"):
        checked(plan)


def test_clips_that_are_there_need_no_room(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_config(write_prompts(examples, 2), seeds=1)
    do_run(config, Path("out"), Path("cache"))
    with_room(monkeypatch, 2 * ROWS + 1)
    checked(build_plan(config))
    more = run_config(write_prompts(examples, 2), seeds=2)
    with_room(monkeypatch, 4 * ROWS + 1)
    with pytest.raises(ConfigError, match="new clips"):
        checked(build_plan(more))


@pytest.mark.parametrize(
    ("settings", "view", "pixels"),
    [
        (VideoSettings(), None, 16 * 64 * 64),
        (VideoSettings(frames=32, width=32), None, 32 * 32 * 64),
        (VideoSettings(), View(fps=4, seconds=1), 16 * 64 * 64 + 4 * 64 * 64),
        (VideoSettings(), View(fps=4, seconds=60), 16 * 64 * 64 + 8 * 64 * 64),
        (VideoSettings(), View(width=128, height=96), 16 * 64 * 64 + 16 * 128 * 96),
    ],
)
def test_a_view_counts_too(
    examples: Path, settings: VideoSettings, view: View | None, pixels: int
) -> None:
    """Native: 16 frames at 8 fps, that is 2 s."""
    config = run_config(write_prompts(examples, 2), settings=settings, view=view)
    generator = PluginInfo(
        name="g",
        revision="1",
        licence="none",
        fingerprint={},
        video=VideoSettings(frames=16, fps=8, width=64, height=64),
    )
    plan = build_plan(config)
    assert clip_bytes(generator, plan.settings, plan.view) == pytest.approx(pixels * 0.2)


def test_a_generator_that_does_not_say_its_format_is_not_guessed(examples: Path) -> None:
    config = run_config(write_prompts(examples, 2), view=View(fps=4))
    generator = PluginInfo(name="g", revision="1", licence="none", fingerprint={})
    plan = build_plan(config)
    assert clip_bytes(generator, plan.settings, plan.view) == 0


def test_the_command_stops_before_any_work(examples: Path, small_disk: Path) -> None:
    write_prompts(examples, 200)
    command = ("run", "-r", "identity", "-g", "bar", "-j", "brightness", "-p", "prompts.txt")
    for place in (("--cache", str(small_disk / "cache")), ("-o", str(small_disk / "out"))):
        done = phybench(*command, *place)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: Expected room for")
        assert "MiB free" in done.stderr
    assert not list(examples.rglob("*.mp4"))
    assert not list(examples.rglob("items.jsonl"))
