from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from tools.places import SHARED
from typer.testing import CliRunner

from phybench.audit.audit import audit_judge, preference, shortfalls
from phybench.audit.clips import Intact, from_table, from_tabletop, tabletop_violations
from phybench.audit.manipulations import INVARIANT, PHYSICAL, TEMPO
from phybench.audit.regions import motion, moving_thing
from phybench.cli.audit import audit as audit_command
from phybench.errors import ConfigError
from phybench.plugins.contracts import JudgeRequest, PluginInfo, Score
from phybench.plugins.opened import Opened
from phybench.plugins.spec import PluginSpec, parse_spec
from phybench.video.video_file import read_frames, write_frames
from phybench.workers.opening import open_plugin

CLIPS = SHARED / "data" / "videophy2"
AUDIT = typer.Typer()
AUDIT.command()(audit_command)


def ball(frames: int = 20, fall: bool = False, stop: int = 99) -> np.ndarray:
    """A red ball of 8 px on white that slides (or falls), 3 px per frame, and may come to rest."""
    clip = np.full((frames, 64, 96, 3), 255, np.uint8)
    rows, columns = np.mgrid[:64, :96]
    for number in range(frames):
        way = 3 * min(number, stop)
        y, x = (8 + way, 48) if fall else (32, 12 + way)
        clip[number][(rows - y) ** 2 + (columns - x) ** 2 <= 16] = (200, 30, 30)
    return clip


RNG = np.random.default_rng(0)


def red(frames: np.ndarray) -> np.ndarray:
    """Red pixels per frame."""
    seen = (frames[..., 0] > 120) & (frames[..., 1] < 120)
    return seen.sum(axis=(1, 2))


def test_the_moving_thing_is_found_and_followed() -> None:
    thing = moving_thing(ball(), 5)
    assert thing is not None
    assert thing.visible(5)
    assert thing.visible(19)
    assert thing.centre(10)[1] - thing.centre(5)[1] == pytest.approx(15, abs=1)
    assert (thing.background == 255).all()


def test_removal_teleport_and_copy_do_what_they_say() -> None:
    clip = ball()
    gone, jumped, twice = (
        PHYSICAL[name](clip, np.random.default_rng(0))
        for name in ("removed", "teleported", "duplicated")
    )
    assert gone is not None
    assert jumped is not None
    assert twice is not None
    area = red(clip)[0]
    assert red(gone)[0] == area
    assert red(gone)[-1] == 0
    assert red(jumped)[-1] == pytest.approx(area, rel=0.2)
    assert motion(jumped).max() > 1.5 * motion(clip).max()
    assert red(twice)[12] == pytest.approx(2 * area, rel=0.2)


def test_time_is_changed_only_where_that_is_unlawful() -> None:
    moving, resting = ball(), ball(stop=12)
    assert PHYSICAL["reversed"](moving, RNG) is None
    backwards = PHYSICAL["reversed"](resting, RNG)
    assert backwards is not None
    np.testing.assert_array_equal(backwards[0], resting[-1])
    assert PHYSICAL["frozen"](moving, RNG) is None
    frozen = PHYSICAL["frozen"](ball(fall=True), RNG)
    assert frozen is not None
    assert motion(frozen)[-3:].max() == 0
    shuffled = PHYSICAL["shuffled"](moving, RNG)
    assert shuffled is not None
    assert sorted(map(bytes, shuffled)) == sorted(map(bytes, moving))
    cut = PHYSICAL["jump cut"](moving, RNG)
    assert cut is not None
    assert len(cut) < len(moving)
    for name in ("slow motion", "fast motion"):
        assert TEMPO[name](moving, RNG) is not None


def test_only_falls_are_turned_over() -> None:
    assert PHYSICAL["upside down"](ball(), RNG) is None
    turned = PHYSICAL["upside down"](ball(fall=True, stop=14), RNG)
    assert turned is not None
    assert red(turned[:, :32])[-1] > 0


@pytest.mark.parametrize("name", [*PHYSICAL, *TEMPO])
def test_nothing_is_broken_where_nothing_moves(name: str) -> None:
    still = np.full((12, 32, 32, 3), 90, np.uint8)
    assert (PHYSICAL | TEMPO)[name](still, RNG) is None


@pytest.mark.parametrize("name", ["removed", "teleported", "duplicated"])
def test_a_moving_camera_is_left_alone(name: str) -> None:
    texture = np.random.default_rng(0).integers(0, 255, (64, 200, 3), dtype=np.uint8)
    pan = np.stack([texture[:, 4 * number : 4 * number + 64] for number in range(12)])
    assert PHYSICAL[name](pan, RNG) is None


@pytest.mark.parametrize("name", INVARIANT)
def test_harmless_changes_keep_length_and_type(name: str) -> None:
    changed = INVARIANT[name](ball(), RNG)
    assert changed is not None
    assert len(changed) == 20
    assert changed.dtype == np.uint8
    assert changed.shape[1] % 2 == changed.shape[2] % 2 == 0


class CountsRed:
    """Looks at the pixels: PC 5 if the red area stays the same, else 1; SA by the prompt's word."""

    info = PluginInfo(name="counts-red", revision="1", licence="MIT", fingerprint={}, max_batch=8)

    def score(self, requests: Sequence[JudgeRequest]) -> list[Score]:
        return [self._one(request) for request in requests]

    def _one(self, request: JudgeRequest) -> Score:
        assert request.clip.path is not None
        area = red(read_frames(request.clip.path)[0])
        steady = np.ptp(area) <= 0.4 * max(1, area.max())
        return Score(5 if "red" in request.prompt else 1, 5 if steady else 1)


class AlwaysFour:
    """The judge that must look as bad as it is."""

    info = PluginInfo(name="four", revision="1", licence="MIT", fingerprint={})

    def score(self, requests: Sequence[JudgeRequest]) -> list[Score]:
        return [Score(4, 4) for _ in requests]


def opened(plugin: CountsRed | AlwaysFour) -> Opened:
    return Opened("judge", PluginSpec(plugin.info.name, {}), plugin, plugin.info)


def intact(count: int) -> list[Intact]:
    texts = ["a red ball slides", "a blue box"]
    return [Intact(f"c{number}", texts[number % 2], ball(), 8.0) for number in range(count)]


@pytest.mark.slow
def test_a_seeing_judge_is_told_from_a_blind_one() -> None:
    clips = intact(8)
    found = audit_judge(opened(CountsRed()), clips)
    rates = {one.name: one for one in found.preferences}
    assert rates["removed"].rate == 1
    assert rates["duplicated"].wins == 8
    assert rates["teleported"].rate == 0.5
    assert rates["upside down"].not_applicable == 8
    assert np.isnan(rates["upside down"].rate)
    assert {one.name: one.rate for one in found.invariances} == dict.fromkeys(INVARIANT, 1.0)
    assert any("Not shown to notice" in flag and "teleported" in flag for flag in found.flags)


@pytest.mark.slow
def test_a_constant_judge_gets_one_half_and_is_flagged() -> None:
    found = audit_judge(opened(AlwaysFour()), intact(6))
    compared = [one for one in found.preferences if one.ties]
    assert compared
    assert {one.rate for one in compared} == {0.5}
    assert found.flags == (
        "Constant: the judge never gave an intact and a broken clip different scores.",
    )
    assert any(line.startswith("removed: preference 0.50") for line in shortfalls(found, 0.9, 0.95))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_audit() -> None:
    clips = intact(4)
    assert audit_judge(opened(CountsRed()), clips, seed=3) == audit_judge(
        opened(CountsRed()), clips, seed=3
    )


def test_pairs_without_two_scores_are_counted_not_guessed() -> None:
    found = preference(
        "x", "physical", [(5, 5), None, (5, 4), (3, 3)], [(5, 1), (5, 1), None, (3, 3)], 1, 2
    )
    assert (found.wins, found.ties, found.losses) == (1, 1, 0)
    assert (found.unscored, found.declined, found.not_applicable) == (2, 1, 2)
    assert found.rate == 0.75


@pytest.mark.slow
def test_tabletop_gives_lawful_clips_and_every_violation() -> None:
    from phybench.tabletop.world.violations import BREACHES

    clips = from_tabletop(6, seed=1)
    assert len(clips) == 6
    assert all(clip.prompt and clip.frames.ndim == 4 for clip in clips)
    pairs = list(tabletop_violations(1, seed=1))
    assert {pair.violation for pair in pairs} == {row.violation for row in BREACHES}


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS.exists(), reason="VideoPhy-2 clips are not there")
def test_real_clips_can_be_audited() -> None:
    clips = from_table(CLIPS / "sa_pc.csv", CLIPS / "clips", limit=2)
    small = [Intact(clip.name, clip.prompt, clip.frames[:12, ::8, ::8], clip.fps) for clip in clips]
    even = [
        Intact(
            c.name,
            c.prompt,
            c.frames[:, : c.frames.shape[1] // 2 * 2, : c.frames.shape[2] // 2 * 2],
            c.fps,
        )
        for c in small
    ]
    found = audit_judge(opened(AlwaysFour()), even)
    assert found.clips == 2
    assert found.preferences[0].ties == 2


@pytest.mark.slow
def test_command_audits_a_folder_and_enforces_a_bar(tmp_path: Path) -> None:
    for number, text in enumerate(("a red ball slides", "a blue box waits")):
        write_frames(tmp_path / f"{number}.mp4", ball(), 8.0)
        (tmp_path / f"{number}.txt").write_text(text)
    arguments = ["-j", "kinematic", "--clips", str(tmp_path), "--json"]
    done = CliRunner().invoke(AUDIT, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["clips"] == 2
    with pytest.raises(ConfigError, match="--limit"):
        CliRunner().invoke(AUDIT, [*arguments, "--limit", "1"], catch_exceptions=False)


@pytest.mark.extended
def test_kinematic_passes_its_own_audit() -> None:
    judge = open_plugin("judge", parse_spec("kinematic"))
    found = audit_judge(
        judge, from_tabletop(60, seed=900_000), tabletop_violations(6, seed=900_000)
    )
    assert shortfalls(found, 0.9, 0.95) == []


def test_resizing_loses_no_detail() -> None:
    small, large = INVARIANT["resized"](ball(), RNG), INVARIANT["resized"](_doubled(ball()), RNG)
    assert small is not None
    assert large is not None
    assert small.shape[1:3] == (86, 128)
    assert large.shape[1:3] == (96, 144)


def test_only_things_that_are_seen_whole_are_cut_out() -> None:
    rests = ball(stop=9)  # for half of the clip: it is part of the median background
    assert all(PHYSICAL[name](rests, RNG) is None for name in ("removed", "duplicated"))


def _doubled(frames: np.ndarray) -> np.ndarray:
    return frames.repeat(2, axis=1).repeat(2, axis=2)
