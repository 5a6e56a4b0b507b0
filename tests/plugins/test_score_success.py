"""What a success is, said in one place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phybench import BINARY, LIKERT, PROBABILITY, Score

LIKERT_VALUES = st.floats(1, 5)


@given(LIKERT_VALUES, LIKERT_VALUES)
def test_a_joint_success_is_one_of_both(sa: float, pc: float) -> None:
    assert Score(sa, pc).success(LIKERT) is (min(sa, pc) >= 4)


def test_the_bar_itself_is_a_success_on_every_scale() -> None:
    for scale in (LIKERT, BINARY, PROBABILITY):
        assert Score(scale.success, scale.success).success(scale) is True
        assert Score(scale.success, scale.low).success(scale) is False


def test_an_unscored_clip_is_neither() -> None:
    assert Score.unscored("too dark").success(LIKERT) is None
