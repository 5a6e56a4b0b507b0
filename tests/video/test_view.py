"""The common view: what judges see instead of clips of different rates, lengths and sizes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.viewed_clips import PAPER, STEP, counted_clip, levels, shown

from phybench import Clip, ConfigError, Failure
from phybench.video.clip_store import described
from phybench.video.common_view import View, parse_view
from phybench.video.video_file import read_frames, write_frames
from phybench.video.view_maker import Viewer, fitted, shown_to_judges


@pytest.mark.parametrize(
    ("frames", "fps", "view", "expected"),
    [
        (16, 8, "fps=4", [0, 2, 4, 6, 8, 10, 12, 14]),
        (17, 8, "fps=4", [0, 2, 4, 6, 8, 10, 12, 14, 16]),
        (6, 8, "fps=16", [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (49, 8, "fps=4,seconds=6", list(range(0, 48, 2))),
        (9, 10, "fps=4", [0, 2, 5, 7]),  # 0.9 s: frames last shown by 0, 0.25, 0.5, 0.75 s
        (10, 8, "fps=4,seconds=60", [0, 2, 4, 6, 8]),
        (12, 8, "seconds=1", list(range(8))),
        (5, 8, "fps=0.5", [0]),
        (1, 8, "fps=4,seconds=6", [0]),
    ],
)
def test_a_view_shows_the_frame_last_shown_by_then(
    tmp_path: Path, frames: int, fps: float, view: str, expected: list[int]
) -> None:
    """At time j / rate stands native frame floor(j * fps / rate), worked out by hand."""
    made = shown(counted_clip(tmp_path / "n.mp4", frames, fps), view, tmp_path / "clips")
    assert levels(made) == expected
    assert made.fps == pytest.approx(parse_view(view).fps or fps)


def test_a_coarse_clock_shifts_no_frame(tmp_path: Path) -> None:
    """Matroska keeps times in milliseconds: at 30 fps frame 2 stands at 67 ms, after 2/30 s."""
    path = tmp_path / "coarse.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 32
        for number in range(30):
            frame = np.full((32, 32, 3), number * STEP, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    clip = described(path)
    assert isinstance(clip, Clip)
    assert levels(shown(clip, "fps=30", tmp_path / "clips")) == list(range(30))


@pytest.mark.parametrize(
    ("size", "view", "bars"),
    [
        ((64, 32), "size=64x64", "rows"),
        ((32, 64), "size=64x64", "columns"),
        ((32, 32), "size=64x64", "none"),
        ((128, 128), "size=64x64", "none"),
    ],
)
def test_a_picture_is_fitted_with_its_aspect(
    tmp_path: Path, size: tuple[int, int], view: str, bars: str
) -> None:
    path = tmp_path / "n.mp4"
    write_frames(path, np.full((3, size[1], size[0], 3), 200, np.uint8), 8)
    clip = described(path)
    assert isinstance(clip, Clip)
    made = shown(clip, view, tmp_path / "clips")
    assert (made.width, made.height, made.frames) == (64, 64, 3)
    assert made.path is not None
    picture = read_frames(made.path)[0][1].mean(axis=2)
    assert picture[32, 32] == pytest.approx(200, abs=4)
    dark = {"rows": picture[:12], "columns": picture[:, :12], "none": np.zeros(1)}[bars]
    assert float(dark.max()) < 12
    if bars == "none":
        assert float(picture.min()) > 180


@given(*[st.integers(2, 4000)] * 4)
def test_fitting_keeps_the_aspect_and_stays_inside(
    w: int, h: int, most_w: int, most_h: int
) -> None:
    width, height = fitted(w, h, most_w, most_h)
    assert 1 <= width <= most_w
    assert 1 <= height <= most_h
    assert width == most_w or height == most_h
    exact = min(Fraction(most_w, w), Fraction(most_h, h))
    assert abs(width - w * exact) <= max(1, Fraction(1, 2))
    assert abs(height - h * exact) <= max(1, Fraction(1, 2))


def test_an_odd_size_needs_a_size(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = 33, 31, "bgr0"
        for _ in range(3):
            frame = np.full((31, 33, 3), 99, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    clip = described(path)
    assert isinstance(clip, Clip)
    (tmp_path / "clips").mkdir()
    refused = Viewer(fps=4).show(clip, tmp_path / "clips", "00")
    assert isinstance(refused, Failure)
    assert "33x31 is odd" in refused.message
    assert shown(clip, "size=64x64", tmp_path / "clips").width == 64


def test_equal_views_are_equal_to_the_byte(tmp_path: Path) -> None:
    clip = counted_clip(tmp_path / "n.mp4", 20, 8, (48, 32))
    one, two = (shown(clip, PAPER, tmp_path / name) for name in ("one", "two"))
    assert one.sha256 == two.sha256
    assert not list((tmp_path / "one" / "tmp").iterdir())


def test_what_judges_get_says_what_they_see(tmp_path: Path) -> None:
    native = counted_clip(tmp_path / "n.mp4", 16, 8)
    view = parse_view(PAPER)
    made = shown_to_judges(native, shown(native, PAPER, tmp_path / "clips"), view)
    assert made.meta["view"] == {
        "as": PAPER,
        "short": True,
        "native_sha256": native.sha256,
        "native": [16, 8.0, 32, 32],
    }
    long = counted_clip(tmp_path / "long.mp4", 49, 8)
    seen = shown_to_judges(long, shown(long, PAPER, tmp_path / "clips"), view)
    assert (seen.meta["view"]["short"], seen.frames) == (False, 24)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at least one of `fps`"),
        ("fbs=4", "Did you mean `fps`"),
        ("fps", "`key=value`"),
        ("fps=four", "`fps` of `view` to be a number, but got 'four'"),
        ("fps=nan", "to be a number"),
        ("fps=inf", "to be a number"),
        ("fps=0", "above 0"),
        ("fps=-4", "above 0"),
        ("seconds=1e9", "at most 3600"),
        ("fps=4,fps=5", "got it twice"),
        ("size=720", "WIDTHxHEIGHT"),
        ("size=721x480", "even number of pixels"),
        ("size=0x480", "even number of pixels"),
        ("size=-2x480", "WIDTHxHEIGHT"),
    ],
)
def test_a_bad_view_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_view(text)
    assert words in str(error.value)


def test_a_view_has_one_text() -> None:
    assert str(parse_view(" size=720X480, seconds=6.0 ,fps=4")) == PAPER
    assert parse_view(str(View(fps=23.976))) == View(fps=23.976)
