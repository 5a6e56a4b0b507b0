"""Several judges as one, built from real judges over a loopback server."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tools.services.fake_openai as fake

from phybench import Clip, ConfigError, Failure, JudgeRequest
from phybench.judges.ensemble.plugin import Ensemble
from phybench.video.video_file import write_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_frames(path, np.zeros((4, 32, 32, 3), np.uint8), 4.0)
    return Clip(path, "sha", frames=4, fps=4.0)


def says(sa, pc, *, assessable=True, rules=None):
    answer = {"sa": sa, "pc": pc, "assessable": assessable, "reason": "", "violated_law": None}
    return fake.reply(json.dumps(answer if rules is None else {**answer, "rules": rules}))


def judged(answers, clip, rules=(), **options):
    """One member per answer; each member asks for a model of its own name."""

    def script(body):
        return answers[int(body["model"])]

    with fake.FakeOpenAI(script) as server:
        members = [
            f"vlm:model={n},base_url={server.url},attempts=1,frames=1" for n in range(len(answers))
        ]
        judge = Ensemble(members=members, **options)
        (result,) = judge.score([JudgeRequest(clip, "a ball", rules)])
        judge.close()
    return result


@pytest.mark.parametrize(
    ("combine", "sa", "pc"), [("mean", 11 / 3, 7 / 3), ("vote", 5, 2), ("minimum", 1, 2)]
)
def test_scores_are_combined(clip, combine, sa, pc):
    result = judged([says(5, 2), says(1, 3), says(5, 2)], clip, combine=combine)
    assert (result.sa, result.pc) == (pytest.approx(sa), pytest.approx(pc))


def test_a_tied_vote_goes_down(clip):
    assert judged([says(5, 2), says(1, 3)], clip, combine="vote").sa == 1


def test_all_parts_and_the_disagreement_are_on_record(clip):
    result = judged([says(5, 2), says(1, 3)], clip)
    members = result.details["members"]
    assert [members[name]["sa"] for name in ("0", "1")] == [5, 1]
    assert members["0"]["reply"] == json.dumps(
        {"sa": 5, "pc": 2, "assessable": True, "reason": "", "violated_law": None}
    )
    assert (result.details["sa_spread"], result.details["pc_spread"]) == (4, 1)


def test_rules_go_with_the_majority(clip):
    answers = [says(3, 3, rules=[0, 1]), says(3, 3, rules=[0, 2]), says(3, 3, rules=[1, None])]
    assert judged(answers, clip, ("a", "b")).rules == (0, None)


def test_a_failed_member_fails_the_clip_unless_the_quorum_allows_it(clip):
    answers = [says(5, 2), fake.status(500), says(3, 2)]
    failed = judged(answers, clip)
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.retryable) == ("server", True)
    assert "1: " in failed.message
    result = judged(answers, clip, quorum=2)
    assert (result.sa, result.details["members"]["1"]["status"]) == (4, "failed")


def test_a_member_that_cannot_tell_leaves_the_clip_unscored(clip):
    unsure = says(None, None, assessable=False)
    result = judged([says(5, 2), unsure], clip)
    assert result.sa is None
    assert "1" in result.details["reason"]
    assert judged([says(5, 2), unsure], clip, quorum=1).sa == 5
    # One failed, one unsure: nobody knows, and the failure may pass.
    assert isinstance(judged([fake.status(500), unsure], clip), Failure)


def test_equal_names_are_numbered_and_labels_kept():
    members = ["vlm:model=m", "vlm:model=m,frames=8", "vlm:model=m,frames=4,as=few"]
    info = Ensemble(members=members).info
    assert info.name == "mean(m#1+m#2+few)"


def test_every_member_is_in_the_fingerprint():
    def fingerprint(*members, **options):
        return Ensemble(members=list(members), **options).info.fingerprint

    plain = fingerprint("vlm:model=a", "vlm:model=b")
    assert fingerprint("vlm:model=a", "vlm:model=b,frames=3") != plain
    assert fingerprint("vlm:model=a", "vlm:model=b", combine="vote") != plain
    assert fingerprint("vlm:model=a", "vlm:model=b", quorum=1) != plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": ["vlm:model=a"]}, "at least 2"),
        ({"members": ["vlm:model=a", "no-such-judge"]}, "no-such-judge"),
        ({"members": ["vlm:model=a", "vlm:surprise=1"]}, "surprise"),
        ({"members": ["vlm:model=a", "vlm:model=b"], "quorum": 3}, "quorum"),
        ({"members": ["vlm:model=a", "vlm:model=b"], "quorum": 0}, "quorum"),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Ensemble(**options)


def test_scales_must_agree(tmp_path):
    torch = pytest.importorskip("torch")
    import tools.models.owl_checkpoint as tiny

    torch.set_num_threads(1)
    config = tiny.sizes()
    folder = tiny.write_checkpoint(tmp_path, config, tiny.random_state(config))
    with pytest.raises(ConfigError, match="one scale"):
        Ensemble(members=[f"videophy2:model={folder}", f"videocon:model={folder}"])


def test_problems_of_members_are_found_before_a_run():
    with fake.FakeOpenAI([], models=[{"id": "a", "object": "model"}]) as server:
        members = [f"vlm:model={name},base_url={server.url}" for name in ("a", "b")]
        judge = Ensemble(members=members)
        (problem,) = judge.check(plan=None)
        judge.close()
    assert "`b`" in problem
