"""The judge `kinematic` as a plugin: contract, what it must not read, what it cannot assess."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools.clip_files import BAD_KINDS, write_bad_clip

from phybench.judges.kinematic.assess import assess
from phybench.judges.kinematic.plugin import Kinematic
from phybench.judges.kinematic.thresholds import Thresholds
from phybench.machine.digest import file_digest
from phybench.plugins.contracts import Clip, Failure, JudgeRequest, Score
from phybench.tabletop.drawing.clips import draw
from phybench.testing import check_judge
from phybench.video.video_file import read_frames, write_frames

LIMITS = Thresholds()
PROMPT = "A ball falls onto a table."


def stored(folder: Path, frames: np.ndarray, name: str, fps: float = 8.0, **meta) -> Clip:
    path = folder / f"{name}.mp4"
    write_frames(path, frames, fps)
    count, height, width, _ = frames.shape
    return Clip(path, file_digest(path), "", count, fps, width, height, meta)


def score(clip: Clip, prompt: str = PROMPT) -> Score:
    [result] = Kinematic().score([JudgeRequest(clip, prompt)])
    assert isinstance(result, Score)
    return result


@pytest.fixture(scope="module")
def drop(tmp_path_factory) -> Clip:
    frames, truth = draw("drop", 31)
    return stored(tmp_path_factory.mktemp("drop"), frames, "drop", truth=truth)


def described(family: str, seed: int, violation: str | None = None):
    frames, truth = draw(family, seed, violation)
    thing = truth["objects"][0]
    return frames, truth, f"A {thing['colour']} {thing['shape']}"


def test_contract(tmp_path):
    requests = []
    for family, violation in (("drop", None), ("slide", "vanishes"), ("pour", None)):
        frames, truth, _ = described(family, 40, violation)
        clip = stored(tmp_path, frames, family, truth=truth)
        requests.append(JudgeRequest(clip, f"A red cube falls beside the {family}."))
    check_judge(Kinematic, requests)


def test_lawful_clip_of_the_prompt_gets_full_marks(drop):
    thing = drop.meta["truth"]["objects"][0]
    prompt = f"A {thing['size']} {thing['colour']} {thing['shape']} is dropped onto a table."
    result = score(drop, prompt)
    assert (result.sa, result.pc) == (5, 5)
    assert result.details["violations"] == []


@pytest.mark.parametrize(
    ("prompt", "sa"),
    [
        ("A {other} {shape} is dropped onto a table.", 3),
        ("A {colour} {shape} is poured.", 2),
        ("A {other} {shape} swings on a pendulum.", 1),
    ],
)
def test_sa_falls_with_what_is_wrong(drop, prompt, sa):
    thing = drop.meta["truth"]["objects"][0]
    other = "blue" if thing["colour"] != "blue" else "orange"
    assert score(drop, prompt.format(other=other, **thing)).sa <= sa


def test_violation_is_named_with_frame_and_evidence(tmp_path):
    frames, truth = draw("throw", 12, "vanishes")
    result = score(stored(tmp_path, frames, "clip"), "A ball is thrown.")
    assert result.pc is not None
    assert result.pc < 4
    [found] = [one for one in result.details["violations"] if one["id"] == "vanishes"]
    assert abs(found["frame"] / 8 - truth["onset_s"]) <= 0.13
    assert "px^2" in found["evidence"]
    assert "vanishes at frame" in result.reply


@pytest.mark.parametrize("violation", [None, "levitates"])
def test_meta_is_never_read(tmp_path, violation):
    frames, truth = draw("drop", 77, violation)
    clip = stored(tmp_path, frames, "clip", truth=truth, refinement="it levitates and vanishes")
    lie = {**truth, "lawful": not truth["lawful"], "family": "pour", "objects": []}

    class Forbidden(dict):
        """A meta that no one may look into."""

        def _no(self, *_: object) -> None:
            raise AssertionError("meta was read")

        __getitem__ = __iter__ = __contains__ = get = keys = items = values = _no

    honest = score(clip)
    for meta in ({}, {"truth": lie}, Forbidden(truth)):
        assert score(replace(clip, meta=meta)) == honest
    assert score(replace(clip, source="levitates.mp4")) == honest


@pytest.mark.parametrize("kind", BAD_KINDS)
def test_unreadable_file_fails_alone(tmp_path, drop, kind):
    bad = write_bad_clip(tmp_path / "bad.mp4", kind)
    requests = [JudgeRequest(drop, PROMPT), JudgeRequest(replace(drop, path=bad), PROMPT)]
    good, broken = Kinematic().score(requests)
    assert isinstance(broken, Failure)
    assert broken.kind == "decode"
    assert good == Kinematic().score(requests[:1])[0]


def test_clip_without_a_file_and_unknown_prompt_are_unscored(drop):
    assert score(replace(drop, path=None)).pc is None
    unknown = score(drop, "The committee adjourned until Thursday.")
    assert unknown.sa is None
    assert "prompt" in unknown.details["reason"]
    assert unknown.details["violations"] == []
    assert unknown.details["pc"] == 5


def noise(frames: int = 17) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (frames, 64, 64, 3)).astype(np.uint8)


def panning() -> np.ndarray:
    from scipy import ndimage

    wide = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(64, 256, 3)), (3, 3, 0))
    wide = np.clip(128 + 400 * wide, 0, 255).astype(np.uint8)
    return np.stack([wide[:, 6 * t : 6 * t + 64] for t in range(17)])


def hard_cut() -> np.ndarray:
    first = draw("drop", 5)[0]
    return np.concatenate([first[:8], 255 - draw("ramp", 6)[0][:9]])


def confetti() -> np.ndarray:
    random = np.random.default_rng(3)
    frames = np.full((17, 64, 64, 3), 230, np.uint8)
    for x, y in random.integers(4, 56, (30, 2)):
        colour, dx = random.integers(0, 150, 3), random.integers(-3, 4)
        for frame in range(17):
            left = int(np.clip(x + dx * frame / 2, 0, 60))
            frames[frame, y : y + 4, left : left + 4] = colour
    return frames


@pytest.mark.parametrize(
    ("frames", "word"),
    [
        (noise(), "at once"),
        (panning(), "per frame|at once"),
        (hard_cut(), "at once"),
        (confetti(), "too many"),
        (np.full((17, 64, 64, 3), 200, np.uint8), "no thing"),
        (draw("drop", 1)[0][:5], "too few"),
        (draw("drop", 1, size=64)[0][:, :40, :40], "too few"),
    ],
    ids=["noise", "pan", "cut", "confetti", "empty", "five frames", "40 pixels"],
)
def test_what_it_cannot_assess_has_no_findings_and_a_reason(frames, word):
    assessment = assess(frames, 8.0, LIMITS)
    assert any(part in assessment.reason for part in word.split("|")), assessment.reason
    assert assessment.findings == ()


def test_short_clip_is_unscored():
    frames = draw("drop", 1, fps=24.0)[0][:10]
    assert "short" in assess(frames, 24.0, LIMITS).reason


@pytest.fixture(scope="module")
def footage(shared) -> list[Path]:
    clips = sorted(
        (shared / "data" / "videophy2" / "clips").glob("*.mp4"), key=lambda p: p.stat().st_size
    )
    if not clips:
        pytest.skip("the reference clips are not there")
    return clips


@pytest.mark.slow
def test_real_footage_is_unscored(footage):
    for clip in footage[:4]:
        assert assess(*read_frames(clip), LIMITS).reason


@pytest.mark.extended
def test_all_real_footage_is_unscored(footage):
    clips = footage
    reasons = [assess(*read_frames(clip), LIMITS).reason for clip in clips]
    assert sum(map(bool, reasons)) >= math.ceil(0.9 * len(clips)), reasons


def test_info_names_everything_that_decides_the_score():
    info = Kinematic().info
    assert info.simulated is False
    assert {"rules", "reading", "numpy", "scipy", "av"} <= set(info.fingerprint)
