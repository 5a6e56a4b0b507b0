"""Which frames the judges see, and that reading them is bounded and fails cleanly."""

from __future__ import annotations

import numpy as np
import pytest
import tools.models.owl_checkpoint as tiny
from hypothesis import given
from hypothesis import strategies as st

from phybench.judges.mplug_owl.frames import frame_indices, read_clip
from phybench.video.frame_sampling import sample_frames, spread
from phybench.video.video_file import VideoError, read_frames


def test_golden_indices():
    # From the original: 49 frames to 32, and 8 frames repeated to 32.
    assert frame_indices(49)[:10] == [0, 2, 3, 4, 6, 8, 9, 10, 12, 14]
    assert frame_indices(49)[-1] == 46
    assert frame_indices(8)[:8] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert frame_indices(150, 8) == [9, 28, 46, 65, 83, 102, 121, 139]


@given(total=st.integers(1, 5000), wanted=st.integers(1, 64))
def test_indices_are_inside_and_ascend(total, wanted):
    indices = frame_indices(total, wanted)
    assert len(indices) == wanted
    assert indices == sorted(indices)
    assert 0 <= indices[0] <= indices[-1] < total


@given(total=st.integers(1, 5000), wanted=st.integers(1, 64))
def test_spread_indices_are_distinct_and_centred(total, wanted):
    indices = spread(wanted)(total)
    assert len(set(indices)) == len(indices) == min(wanted, total)
    assert 0 <= indices[0] <= indices[-1] < total
    # What is left out before the first and after the last differs by at most one frame.
    assert abs(indices[0] - (total - 1 - indices[-1])) <= 1


@pytest.mark.parametrize("expected", [0, 12, 5, 99])
def test_a_wrong_frame_count_never_gives_a_wrong_frame(tmp_path, expected):
    path = tiny.write_clip(tmp_path / "clip.mp4", frames=12)
    frames = read_clip(path, 32, expected=expected)
    assert frames.shape == (32, 32, 32, 3)
    assert np.array_equal(frames, read_clip(path, 32))


def test_unscaled_frames_are_those_of_the_plain_reader(tmp_path):
    path = tiny.write_clip(tmp_path / "clip.mp4", frames=9)
    every, _ = read_frames(path)
    some, indices = sample_frames(path, spread(4), "48:32:flags=bilinear")
    assert indices == [1, 3, 5, 7]
    # The filter graph and reformat() round colours differently by a few levels at most.
    assert np.abs(some.astype(int) - every[indices].astype(int)).max() <= 8


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0" * 5000])
def test_a_file_that_is_no_video_is_a_video_error(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        read_clip(path, 28)


def test_a_truncated_video_is_a_video_error(tmp_path):
    path = tiny.write_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        read_clip(path, 28)
