"""The judge `vlm` against a real server on the loopback."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import tools.services.fake_openai as fake
from tools.services.vlm_calls import KEY, PROMPT, inline, judge_for, judged, rating

from phybench import Clip, ConfigError, Failure, JudgeRequest
from phybench.judges.vlm.plugin import Vlm
from phybench.testing import check_judge
from phybench.video.video_file import read_frames


def test_a_json_answer_becomes_a_score_with_its_reason(clip):
    result, server = judged(fake.reply(rating(), prompt_tokens=900, completion_tokens=40), clip)
    assert (result.sa, result.pc, result.reply) == (4, 2, rating())
    vote = result.details["asks"]["rubric"]["votes"][0]
    assert (vote["law"], vote["reason"]) == ("gravity", "It hovers.")
    assert (result.details["prompt_tokens"], result.details["completion_tokens"]) == (900, 40)
    assert result.details["cost_usd"] is None
    assert result.details["models"] == ["fake-model-2026"]
    (body,) = server.requests
    assert body["temperature"] == 0
    assert body["max_tokens"] == 1024
    assert body["response_format"]["json_schema"]["schema"]["required"][:2] == ["sa", "pc"]


def test_the_users_prompt_is_quoted_whole_and_not_filled_in_again(clip):
    _, server = judged(fake.reply(rating()), clip)
    text = server.requests[0]["messages"][-1]["content"][-1]["text"]
    assert f'"{PROMPT}"' in text.replace('""', '"')
    assert '{"sa": 3, "pc": 2' in text


def decoded(part):
    from PIL import Image

    header, _, data = part["image_url"]["url"].partition(",")
    assert header == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_frames_travel_as_images_in_order_before_the_question(clip):
    _, server = judged(fake.reply(rating()), clip, frames=5, size=48)
    content = server.requests[0]["messages"][-1]["content"]
    images = [decoded(part) for part in content[:-1]]
    assert [part["type"] for part in content] == ["image_url"] * 5 + ["text"]
    assert {image.shape for image in images} == {(24, 48, 3)}
    # Middles of five shares of ten frames: 1, 3, 5, 7, 9.
    levels = [float(image.mean()) / 20 for image in images]
    assert levels == pytest.approx([1, 3, 5, 7, 9], abs=0.15)


def test_small_frames_are_not_blown_up(clip):
    _, server = judged(fake.reply(rating()), clip, size=448)
    content = server.requests[0]["messages"][-1]["content"]
    assert decoded(content[0]).shape == (48, 96, 3)
    assert len(content) == 11


def test_frames_as_one_video_part_carry_their_times(clip):
    _, server = judged(fake.reply(rating()), clip, media="frames", frames=5)
    (body,) = server.requests
    url = body["messages"][-1]["content"][0]["video_url"]["url"]
    assert url.startswith("data:video/jpeg;base64,")
    assert url.count(",") == 5
    assert body["media_io_kwargs"]["video"] == {
        "num_frames": -1,
        "fps": 5.0,
        "frames_indices": [1, 3, 5, 7, 9],
        "total_num_frames": 10,
        "duration": 2.0,
    }


def test_the_file_itself_can_travel(clip):
    _, server = judged(fake.reply(rating()), clip, media="video")
    url = server.requests[0]["messages"][-1]["content"][0]["video_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == clip.path.read_bytes()


def test_a_template_can_have_the_clip_re_encoded(clip, tmp_path):
    template = inline(media={"form": "video", "height": 24})
    _, server = judged(fake.reply(rating()), clip, template=template)
    url = server.requests[0]["messages"][-1]["content"][0]["video_url"]["url"]
    path = tmp_path / "sent.mp4"
    path.write_bytes(base64.b64decode(url.partition(",")[2]))
    frames, fps = read_frames(path)
    assert (frames.shape, fps) == ((10, 24, 48, 3), 5.0)
    levels = frames.mean((1, 2, 3)) / 20
    assert levels == pytest.approx(np.arange(10), abs=0.4)


@pytest.mark.parametrize(
    "text",
    [
        rating(),
        f"```json\n{rating()}\n```",
        f"<think>Maybe {{'sa': 1}} or 5?</think>\n{rating()}",
        f"Here is my answer: {rating()} I hope it helps.",
        f"{rating()}\n{rating()}",
        rating(sa="4", pc="2"),
        rating(sa=4.0, pc="2/5"),
        rating(sa="four", pc="2.0"),
    ],
)
def test_documented_forms_are_read(clip, text):
    result, _ = judged(fake.reply(text), clip)
    assert (result.sa, result.pc) == (4, 2)


@pytest.mark.parametrize(
    "text",
    [
        rating(sa=0),
        rating(sa=6),
        rating(sa=3.5),
        rating(sa="between 3 and 4"),
        rating(sa="high"),
        rating(sa=True),
        rating(sa=None),
        rating(sa=[4]),
        rating(sa="4/10"),
        rating()[:-12],
        rating().replace("4", "NaN"),
        rating().replace("4", "1e999"),
        rating(assessable="yes"),
        '{"sa": 4}',
        '{"sa": 4, "sa": 5, "pc": 2, "assessable": true}',
        f"{rating()} or rather {rating(sa=1)}",
        '{"answer": {"sa": 4, "pc": 2, "assessable": true}',
        "[4, 2]",
        "SA is 4 and PC is 2.",
        "4",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_everything_else_is_a_failure_with_the_reply(clip, text):
    result, _ = judged(fake.reply(text), clip)
    assert isinstance(result, Failure)
    assert (result.kind, result.retryable, result.reply) == ("parse", False, text)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (fake.status(429), "rate-limit"),
        (fake.status(500), "server"),
        (fake.drop(), "connection"),
        (fake.truncated(), "parse"),
        (fake.refusal(), "refusal"),
        (fake.content_filter(), "filter"),
        (fake.reply('{"sa": 4', finish_reason="length"), "length"),
        (fake.status(401), "auth"),
        (fake.status(429, retry_after="3000"), "rate-limit"),
        (fake.cut_off(), "connection"),
        (fake.hang(), "timeout"),
        (fake.raw(b"<html>busy</html>"), "parse"),
        (fake.raw(b"[]"), "parse"),
        (fake.raw(b'{"choices": []}'), "parse"),
        (fake.raw(b'{"choices": [{"message": {"content": 4}}]}'), "parse"),
        (fake.raw(b'{"choices": [{"message": {"content": ["4"]}}]}'), "parse"),
        (fake.raw(b'{"choices": "4"}'), "parse"),
    ],
)
def test_a_service_that_fails_gives_a_failure(clip, action, kind):
    result, _ = judged(action, clip, timeout_s=0.5 if action == fake.hang() else 30.0)
    assert isinstance(result, Failure)
    assert result.kind == kind


@pytest.mark.parametrize(
    "faults",
    [
        [fake.status(429, retry_after="0")],
        [fake.status(429, retry_after="0.01"), fake.status(503, retry_after="0")],
    ],
)
def test_what_passes_is_waited_for(clip, faults):
    result, server = judged([*faults, fake.reply(rating())], clip, attempts=4)
    assert (result.sa, len(server.requests)) == (4, len(faults) + 1)


def test_the_key_is_on_no_disk(tmp_path):
    """A run with good replies, with refusals that repeat the key, and with errors that do."""
    from tools.harness import do_run, run_config

    actions = [
        fake.reply(rating()),
        fake.status(400, message=f"bad request of {KEY}"),
        fake.refusal(f"I know {KEY}"),
        fake.raw(f'{{"error": "{KEY}"'.encode()),
    ]
    with fake.FakeOpenAI(actions) as server:
        judge = (
            f"vlm:model=fake-model,base_url={server.url},key_env=JUDGE_KEY,attempts=1,"
            "concurrency=1,frames=1"
        )
        plan = run_config(
            None,
            refiners=("identity",),
            generators=("tabletop",),
            judges=(judge,),
            seeds=1,
            limit=len(actions),
        )
        do_run(plan, tmp_path / "run", tmp_path / "cache")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(server.requests) == len(actions)
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_not_assessable_is_unscored_with_the_reason(clip):
    text = rating(sa=None, pc=None, assessable=False, reason="The screen is black.")
    result, _ = judged(fake.reply(text), clip)
    assert (result.sa, result.pc) == (None, None)
    assert result.details["reason"] == "The screen is black."
    assert result.reply == text


def test_rules_are_asked_and_answered_with_the_ratings(clip):
    rules = ("Balls fall.", "Water {flows}.")
    result, server = judged(fake.reply(rating(rules=[0, 2])), clip, rules)
    assert result.rules == (0, 2)
    text = server.requests[0]["messages"][-1]["content"][-1]["text"]
    assert "1. Balls fall.\n2. Water {flows}." in text
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert "rules" in schema["required"]


@pytest.mark.parametrize("verdicts", [None, [0], [0, 1, 2], "01", [3, 1]])
def test_verdicts_of_the_wrong_form_are_not_judged(clip, verdicts):
    result, _ = judged(fake.reply(rating(rules=verdicts)), clip, ("a", "b"))
    assert (result.sa, result.rules[0]) == (4, None)


def voting(*texts):
    """Answers by seed, so that the order of arrival does not matter."""
    return lambda body: fake.reply(texts[body["seed"]])


def test_samples_vote_and_ties_go_down(clip):
    texts = [rating(5, 1), rating(3, 1), rating(5, 2), rating(3, 4)]
    result, server = judged(voting(*texts), clip, samples=4, temperature=0.7)
    # SA ties between 5 and 3; PC 1 leads.
    assert (result.sa, result.pc) == (3, 1)
    assert sorted(body["seed"] for body in server.requests) == [0, 1, 2, 3]
    assert len(result.details["asks"]["rubric"]["votes"]) == 4
    assert json.loads(result.reply)["rubric"] == texts


def test_samples_can_be_averaged(clip):
    texts = [rating(5, 1), rating(4, 1), rating(3, 4)]
    result, _ = judged(voting(*texts), clip, samples=3, temperature=0.7, combine="mean")
    assert (result.sa, result.pc) == (4, 2)


def test_a_vote_needs_more_than_half_of_the_samples(clip):
    good, bad = rating(), "no idea"
    result, _ = judged(voting(good, good, bad), clip, samples=3, temperature=1.0)
    assert (result.sa, len(result.details["asks"]["rubric"]["failed"])) == (4, 1)
    result, _ = judged(voting(good, bad, good, bad), clip, samples=4, temperature=1.0)
    assert isinstance(result, Failure)
    assert "2 of 4" in result.message


def test_most_samples_that_cannot_assess_make_the_clip_unscored(clip):
    unsure = rating(sa=None, pc=None, assessable=False)
    result, _ = judged(voting(unsure, rating(), unsure), clip, samples=3, temperature=1.0)
    assert result.sa is None


def test_voting_on_greedy_replies_is_refused():
    with pytest.raises(ConfigError, match="temperature"):
        Vlm(model="m", samples=3)


def test_costs_are_accounted(clip):
    prices = {"usd_per_million_in": 2.0, "usd_per_million_out": 8.0}
    action = fake.reply(rating(), prompt_tokens=1000, completion_tokens=100)
    result, _ = judged(action, clip, **prices)
    # 1000 tokens at 2 $/M and 100 at 8 $/M.
    assert result.details["cost_usd"] == pytest.approx(0.0028)


def test_the_contract_of_judges_holds(clip):
    def script(body):
        text = body["messages"][-1]["content"][-1]["text"]
        return fake.reply(rating(sa=2) if "water" in text else rating())

    requests = [JudgeRequest(clip, "a ball"), JudgeRequest(clip, "pours water")]
    with fake.FakeOpenAI(script) as server:
        check_judge(lambda: judge_for(server), requests)


def test_one_broken_clip_costs_nothing_and_fails_alone(clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with fake.FakeOpenAI([fake.reply(rating())]) as server:
        judge = judge_for(server)
        requests = [JudgeRequest(c, "x") for c in (clip, Clip(broken, "b"), Clip(None, "n"), clip)]
        results = judge.score(requests)
        judge.close()
    assert [getattr(r, "kind", "scored") for r in results] == [
        "scored",
        "decode",
        "no-video",
        "scored",
    ]
    assert len(server.requests) == 2
