"""Reading recorded replies again: the same numbers, and no exception whatever the text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phybench import Clip, Failure, JudgeRequest, Score
from phybench.judges.ensemble.combining import Combination, RecordedParts
from phybench.judges.ratings.rating_replies import RatingReader, RatingReply, judged
from phybench.judges.vlm.questions import Choice, questioning, recorded_replies
from phybench.judges.vlm.scoring import RecordedReplies, score_by_questions
from phybench.services.chat_client import Reply
from phybench.video.video_file import write_frames

READINGS = ("strict", "faithful", "expected")
QUESTION = {"text": "?", "read": "json"}
TWO = {
    "asks": [
        {**QUESTION, "name": "a", "fields": {"sa": "sa", "pc": "pc", "assessable": "ok"}},
        {**QUESTION, "name": "b", "fields": {"pc": "pc"}},
    ]
}
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["4", "4/5", "five", "between 3 and 4", "none", "0", "", "2.0", "4 5"]),
)
json_texts = st.one_of(
    texts,
    st.fixed_dictionaries(
        {"sa": st.one_of(texts, st.integers(-1, 7)), "pc": st.integers(1, 5), "ok": st.booleans()}
    ).map(json.dumps),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(texts, st.sampled_from(["sa", "pc", "rules", "a", "b", "name", "status"])),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
rating_replies = st.builds(
    RatingReply,
    texts,
    st.booleans(),
    st.fixed_dictionaries({digit: st.floats(0, 0.16) for digit in "012345"}),
)


def numbers(result):
    return "failed" if isinstance(result, Failure) else (result.sa, result.pc)


@given(st.lists(rating_replies, min_size=2, max_size=4), st.sampled_from(READINGS))
def test_ratings_are_read_again_as_they_were(replies, reading):
    first = judged(replies, reading)
    again = RatingReader(reading).reread(first.reply)
    assert numbers(again) == numbers(first)
    assert again.reply == first.reply
    if isinstance(first, Score):
        assert again.rules == first.rules


@given(st.one_of(texts, values.map(json.dumps)), st.sampled_from(READINGS))
def test_no_text_breaks_the_reader_of_ratings(text, reading):
    result = RatingReader(reading).reread(text)
    assert isinstance(result, Failure) or 0 <= result.sa <= 5


@pytest.mark.parametrize(
    "text",
    [
        "4",
        "{}",
        '{"sa": "4", "pc": 4, "rules": []}',
        '{"sa": "4", "pc": "4"}',
        '{"sa": "4", "pc": "4", "rules": [], "more": 1}',
        '{"sa": "4", "pc": "4", "rules": [], "probabilities": [{"1": 0.5}]}',
        '{"sa": "4", "pc": "4", "rules": [], "probabilities": [{"1": NaN}, {"1": 2}]}',
    ],
)
def test_what_was_not_recorded_so_is_a_parse_failure(text):
    result = RatingReader("expected").reread(text)
    assert (result.kind, result.reply) == ("parse", text)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_frames(path, np.zeros((2, 16, 16, 3), np.uint8), 4.0)
    return Clip(path, "sha", frames=2, fps=4.0)


def asking(samples, template):
    choice = Choice(template=template, media="images", frames=1, temperature=0.5)
    return questioning(
        choice,
        limit_field="max_tokens",
        structured=False,
        samples=samples,
        combine="vote",
        seed=None,
    )


@settings(max_examples=60)
@given(
    replies=st.lists(
        st.one_of(json_texts.map(Reply), st.sampled_from([Failure("server", "down")])),
        min_size=6,
        max_size=6,
    ),
    samples=st.integers(1, 3),
    asks=st.integers(1, 2),
)
def test_replies_of_a_model_are_read_again_as_they_were(clip, replies, samples, asks):
    how = asking(samples, TWO if asks == 2 else {"asks": TWO["asks"][:1]})
    (first,) = score_by_questions(
        [JudgeRequest(clip, "x")], how, lambda asked: replies[: len(asked)]
    )
    if isinstance(first, Failure) and first.kind != "parse":
        return
    again = RecordedReplies(how).reread(first.reply)
    assert numbers(again) == numbers(first)
    assert again.reply == first.reply


@given(
    st.one_of(texts, values.map(json.dumps)), st.integers(1, 3), st.sampled_from([TWO, "rubric"])
)
def test_no_text_breaks_the_reader_of_replies(text, samples, template):
    options = {"template": template, "samples": samples, "temperature": 1.0}
    result = recorded_replies(options).reread(text)
    assert isinstance(result, Failure) or result.sa is None or 1 <= result.sa <= 5


@pytest.mark.parametrize(
    "text", ['{"a": ["{}"]}', '{"a": [], "b": [], "c": []}', '{"a": ["", "", ""], "b": []}', "[]"]
)
def test_replies_to_other_questions_are_a_parse_failure(text):
    result = recorded_replies({"template": TWO, "samples": 2, "temperature": 1.0}).reread(text)
    assert (result.kind, result.reply) == ("parse", text)


results = st.one_of(
    st.builds(lambda sa, pc: Score(float(sa), float(pc)), st.integers(1, 5), st.integers(1, 5)),
    st.just(Score.unscored("dark")),
    st.lists(rating_replies, min_size=2, max_size=2).map(lambda two: judged(two, "strict")),
    st.just(Failure("parse", "?", reply="no")),
    st.just(Failure("server", "down")),
)


@given(
    st.lists(results, min_size=2, max_size=4),
    st.sampled_from(["mean", "vote", "minimum"]),
    st.integers(1, 2),
)
def test_an_ensembles_parts_are_combined_again_as_they_were(members, combine, quorum):
    combination = Combination(combine, quorum)
    names = [f"judge {number}" for number in range(len(members))]
    first = combination.of(names, members)
    readers = [RatingReader("strict") for _ in members]
    again = RecordedParts(combination, readers).reread(first.reply)
    assert numbers(again) == numbers(first)
    assert numbers(RecordedParts(combination, [None] * len(members)).reread(first.reply)) == (
        numbers(first)
    )


@given(st.one_of(texts, values.map(json.dumps), st.lists(values).map(json.dumps)))
def test_no_text_breaks_the_reader_of_an_ensemble(text):
    readers = [None, RatingReader("strict")]
    result = RecordedParts(Combination("mean", 2), readers).reread(text)
    assert result.kind == "parse"


def test_parts_of_other_members_are_a_parse_failure():
    combination = Combination("mean", 2)
    reply = combination.of(["a", "b"], [Score(4, 4), Score(2, 2)]).reply
    assert RecordedParts(combination, [None, None]).reread(reply).sa == 3
    assert RecordedParts(combination, [None] * 3).reread(reply).kind == "parse"
