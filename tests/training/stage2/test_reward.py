from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from tools.training.reward_bench import END, Painter, Rater, opened, rules

from phybench.gate.training_log import check_log, read_log
from phybench.judges.ratings.rating_replies import RatingReply, judged
from phybench.machine.files import read_jsonl
from phybench.plugins.contracts import (
    Clip,
    Frames,
    Scale,
)
from phybench.plugins.spec import parse_spec
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, write_chain
from phybench.training.stage2.clip_scores import ClipScores
from phybench.training.stage2.curriculum import weight_at
from phybench.training.stage2.motion import motion_of
from phybench.training.stage2.reward import (
    HOLDOUT,
    METRICS,
    PhysicsReward,
    RewardError,
)
from phybench.training.stage2.reward_log import RewardLog, append_rows
from phybench.video.video_file import write_frames
from phybench.workers.choice import make_executor
from phybench.workers.opening import open_plugin
from phybench.workers.serial import SerialExecutor


class Bench:
    """A reward with its parts at hand."""

    def __init__(self, folder, generator=None, judges=None, **changes):
        self.painter = generator or Painter()
        self.judges = judges or [Rater()]
        self.log = folder / "rewards.jsonl"
        self.metrics, self.extra = {}, {}
        parts = [opened("judge", judge) for judge in self.judges]
        self.scores = ClipScores(
            opened("generator", self.painter), parts, folder / "cache", SerialExecutor
        )
        if len(parts) > 1:
            changes["holdout_scale"] = self.judges[1].info.scale
        self.reward = PhysicsReward(
            rules(**changes), self.scores, RewardLog(self.log), frozenset({END})
        )

    def __call__(self, pairs, *, step=0, total=100, split="train", ids=None):
        return asyncio.run(
            self.reward(
                prompts=[None] * len(pairs),
                completions=[[{"role": "assistant", "content": text}] for _, text in pairs],
                completion_ids=ids or [[5, END]] * len(pairs),
                caption=[prompt for prompt, _ in pairs],
                prompt_id=[f"id-{prompt}" for prompt, _ in pairs],
                split=[split] * len(pairs),
                trainer_state=SimpleNamespace(global_step=step, max_steps=total),
                log_metric=self.metrics.__setitem__,
                log_extra=self.extra.__setitem__,
            )
        )

    def rows(self):
        return list(read_jsonl(self.log))


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(**options):
        made.append(Bench(tmp_path / str(len(made)), **options))
        return made[-1]

    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    yield make
    for one in made:
        if isinstance(one.painter, Painter):
            one.painter.release.set()
        one.scores.close()


def said(prompt):
    return write_chain(ChainOfThought("gravity", "falls", "weight", "rubber", "air", prompt))


def test_the_reward_is_the_weighted_sum_of_both_parts(bench):
    at = bench()
    pair = ("A ball falls.", said("A ball falls down."))
    # SA 5 of 1..5 is 1, PC 3 is 0.5; w_sa(0) = 1 and w_sa(50 of 100) = e^-1.5.
    assert at([pair], step=0) == [pytest.approx(1.0)]
    weight = np.exp(-1.5)
    assert at([pair], step=50) == [pytest.approx(weight * 1.0 + (1 - weight) * 0.5)]
    row = at.rows()[-1]
    assert (row["sa"], row["pc"], row["r_sa"], row["r_pc"]) == (5, 3, 1, 0.5)
    assert row["weighted_sa"] + row["weighted_pc"] == pytest.approx(row["reward"])
    assert row["w_sa"] == pytest.approx(weight)


def test_sa_is_judged_against_the_users_words(bench):
    at = bench()
    at([("A ball falls.", said("A ball falls down on a table."))])
    assert [request.prompt for request in at.judges[0].seen] == ["A ball falls."]


def test_an_evaluation_before_training_has_the_fixed_weight(bench):
    at = bench()
    assert at([("A ball falls.", said("Down."))], total=0, split="eval") == [pytest.approx(0.75)]
    assert at([("A ball falls.", said("Down."))], total=0) == [pytest.approx(0.75)]


def test_equal_texts_cost_one_clip_and_a_known_clip_costs_none(bench):
    at = bench()
    group = [("A ball falls.", said("Down it goes."))] * 3 + [("A ball falls.", said("Other."))]
    first = at(group)
    assert len(at.painter.seen) == 2
    assert at(group) == first
    assert len(at.painter.seen) == 2
    assert at.metrics["reply/distinct_share"] == 0.5


def test_a_groups_members_share_their_noise_or_not(bench):
    group = [("A ball falls.", said(f"Down {word}.")) for word in ("now", "then", "there")]
    shared = bench()
    shared(group)
    assert len({seed for _, seed in shared.painter.seen}) == 1
    shared(group, step=1)
    assert len({seed for _, seed in shared.painter.seen}) == 2
    own = bench(shared_seed=False)
    own(group)
    assert len({seed for _, seed in own.painter.seen}) == 3


def test_a_failed_judgement_takes_the_whole_sample_and_no_other(bench):
    at = bench()
    pairs = [("A ball falls.", said("Down.")), ("They explode.", said("Boom."))]
    assert at(pairs) == [pytest.approx(1.0), None]
    assert "judge 503" in at.rows()[1]["reason"]
    assert at.metrics["judge/fail_share"] == 0.5


def test_a_failed_clip_is_no_reward_and_no_zero(bench):
    at = bench()
    assert at([("A ball falls.", said("I refuse this."))]) == [None]
    assert at.rows()[0]["reason"] == "refusal: I do not draw this."


def test_too_many_failures_end_training_with_the_reason(bench):
    at = bench(failure_limit=0.4)
    good = ("A ball falls.", said("Down."))
    at([good, good, ("They explode.", said("Boom."))])
    with pytest.raises(RewardError, match=r"2 of 3 .* `reward\.failure_limit` = 0\.4.*judge 503"):
        at([good, ("They explode.", said("Boom.")), ("They explode.", said("Bang."))])


def test_a_clip_that_never_comes_costs_its_sample_after_the_timeout(bench):
    at = bench(timeout_s=0.3)
    assert at([("A ball falls.", said("It will hang."))]) == [None]
    assert at.rows()[0]["reason"] == "timeout: no score after 0.3 s"


def test_unscored_is_neither_failed_nor_zero(bench):
    at = bench(failure_limit=0.0)
    assert at([("A strange thing.", said("Odd."))]) == [None]
    assert at.metrics["judge/unscored_share"] == 1.0


def test_an_unreadable_reply_costs_and_makes_no_clip(bench):
    at = bench()
    bad = ["no format", said("Fine.") + "\nMore: x", said("Sure, here is the prompt: a ball")]
    assert at([("A ball falls.", text) for text in bad]) == [0.1, 0.1, 0.1]
    assert at.painter.seen == []


def test_a_reply_cut_at_the_limit_has_no_reward(bench):
    at = bench(max_new_tokens=3)
    ids = [[5, 6, 7], [5, 6, END]]
    pair = ("A ball falls.", said("Down."))
    assert at([pair, pair], ids=ids) == [None, pytest.approx(1.0)]
    assert at.metrics["reply/truncated_share"] == 0.5
    # Unless the recipe says what it is worth; then its loss must count, too.
    at = bench(max_new_tokens=3, truncated=0.2)
    assert at([pair, pair], ids=ids) == [pytest.approx(0.2), pytest.approx(1.0)]


def test_every_metric_is_logged_even_if_everything_fails(bench):
    # Ranks that log different names would wait for each other for ever.
    at = bench()
    at([("They explode.", said("Boom."))])
    assert set(at.metrics) == set(METRICS)
    assert set(at.extra) == {"r_sa", "r_pc", "clip"}


def test_the_holdout_judge_speaks_at_evaluations_only(bench):
    at = bench(judges=[Rater(), Rater("other", Scale(0, 1, 0.5))])
    pair = ("A ball falls.", said("Down."))
    at([pair])
    assert at.judges[1].seen == []
    assert HOLDOUT not in at.metrics
    at([pair], split="eval")
    assert at.metrics[HOLDOUT] == pytest.approx(0.75)


class Sure(Rater):
    """Answers 4 to both questions, but 5 and 3 were nearly as likely: videophy2's own reading."""

    def __init__(self, reading):
        super().__init__(f"sure-{reading}")
        self._reading = reading

    def _score(self, request):
        sa = RatingReply("4", begins={"4": 0.5, "5": 0.3})  # mean (4*0.5 + 5*0.3) / 0.8 = 4.375
        pc = RatingReply("4", begins={"3": 0.4, "4": 0.6})  # mean 3.6
        return judged([sa, pc], self._reading)


def test_fractional_scores_stay_fractions_in_the_reward(bench):
    pair = ("A ball falls.", said("Down."))
    weight = weight_at("exponential", 3.0, 50, 100)
    assert bench(judges=[Sure("strict")])([pair], step=50) == [pytest.approx(0.75)]
    expected = bench(judges=[Sure("expected")])
    r_sa, r_pc = (4.375 - 1) / 4, (3.6 - 1) / 4
    assert expected([pair], step=50) == [pytest.approx(weight * r_sa + (1 - weight) * r_pc)]
    assert expected.rows()[0]["r_pc"] == pytest.approx(r_pc)


class Mover(Painter):
    """A clip whose brightness rises by a share of the scale per frame: the text says how many."""

    def _clip(self, request):
        step = int(request.text.split()[-1].rstrip("."))
        levels = np.arange(3, dtype=np.uint8) * step + 40
        return Frames(np.tile(levels[:, None, None, None], (1, 16, 16, 3)), fps=8)


def test_how_much_moves_is_logged_per_step_and_sample(bench):
    at = bench(generator=Mover())
    at([("A ball falls.", said("By 0.")), ("A ball falls.", said("By 51."))])
    still, moving = (row["motion"] for row in at.rows())
    assert still == pytest.approx(0.0, abs=0.005)
    assert moving == pytest.approx(51 / 255, abs=0.02)  # the codec rounds
    assert at.metrics["clip_motion"] == pytest.approx((still + moving) / 2)


def test_what_cannot_move_has_no_motion(tmp_path):
    frame = tmp_path / "one.mp4"
    write_frames(frame, np.zeros((1, 16, 16, 3), np.uint8), 8)
    assert motion_of(Clip(frame, "a")) == 0.0
    assert motion_of(Clip(None, "a")) is None
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert motion_of(Clip(tmp_path / "broken.mp4", "a")) is None


def test_the_gate_reads_the_motion_that_is_logged(tmp_path):
    log = tmp_path / "log.jsonl"
    rng = np.random.default_rng(0)
    append_rows(
        log,
        [
            {
                "step": step,
                "reward": 0.2 + 0.01 * step + rng.normal(0, 0.01),
                "clip_motion": 0.1 - 0.001 * step + rng.normal(0, 0.0005),
                "completions/mean_length": 60 + 2 * step + rng.normal(0, 1),
            }
            for step in range(60)
        ],
    )
    assert "clip_motion" in METRICS
    said = check_log(read_log(log))[1].message
    assert "clips stand still more and more" in said
    assert "refinements grow" in said


def test_what_breaks_the_service_reaches_the_trainer(bench, tmp_path):
    at = bench()
    clips = tmp_path / "0" / "cache" / "clips"
    at([("A ball falls.", said("Down."))])
    for path in sorted(clips.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    clips.rmdir()
    clips.write_text("no folder")
    from phybench.errors import StorageError

    with pytest.raises(StorageError):
        at([("A ball falls.", said("Up."))])


@pytest.mark.slow
def test_rewards_do_not_depend_on_the_executor(tmp_path):
    prompts = ["A red ball falls onto a table.", "A blue cube slides along a table."]
    pairs = [(text, said(f"{text} Gravity pulls it down.")) for text in prompts for _ in range(2)]
    found = {}
    for name, workers in (("serial", None), ("local", 1), ("local", 2)):
        folder = tmp_path / f"{name}{workers}"
        folder.mkdir()
        scores = ClipScores(
            open_plugin("generator", parse_spec("tabletop")),
            [open_plugin("judge", parse_spec("kinematic"))],
            folder / "cache",
            lambda clips, name=name, workers=workers: make_executor(name, clips, workers),
        )
        at = Bench.__new__(Bench)
        at.log, at.metrics, at.extra = folder / "log.jsonl", {}, {}
        at.reward = PhysicsReward(
            rules(timeout_s=300.0), scores, RewardLog(at.log), frozenset({END})
        )
        found[name, workers] = at(pairs, step=30)
        scores.close()
    assert len(set(map(tuple, found.values()))) == 1
    assert all(value is not None for value in found["serial", None])


def test_a_resumed_run_forgets_what_it_will_do_again(tmp_path):
    log = RewardLog(tmp_path / "log.jsonl")
    for step in range(4):
        log.write("train", step, 0.5, ["a"], [{"reward": step}])
        log.write("eval", step + 1, 0.5, ["a"], [{"reward": step}])
    log.resume(2)
    left = [(row["split"], row["step"]) for row in read_jsonl(tmp_path / "log.jsonl")]
    assert left == [("train", 0), ("eval", 1), ("train", 1), ("eval", 2)]
