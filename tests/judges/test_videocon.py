"""The judge VideoCon-Physics on tiny checkpoints."""

from __future__ import annotations

import math

import pytest
import sentencepiece
import tools.models.owl_checkpoint as tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from phybench import PROBABILITY, Clip, JudgeRequest
from phybench.judges.videocon import VideoCon
from phybench.testing import check_judge


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tiny.write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")
    return Clip(path, "sha", frames=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Odds of 3:1 for Yes against No after the space that ends every prompt."""
    config = tiny.sizes()
    path = tmp_path_factory.mktemp("judge") / "tokenizer.model"
    tiny.train_tokenizer(path)
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    yes, no = model.encode("Yes")[0], model.encode("No")[0]
    space = model.piece_to_id("▁")
    state = tiny.random_state(config)
    state = tiny.markov(state, {space: {yes: 9 + math.log(3), no: 9.0}})
    return tiny.write_checkpoint(path.parent, config, state, "single")


def test_the_score_is_the_share_of_yes(folder, clip):
    judge = VideoCon(model=str(folder))
    (result,) = judge.score([JudgeRequest(clip, "a ball")])
    assert (result.sa, result.pc) == (pytest.approx(0.75, abs=1e-4), pytest.approx(0.75, abs=1e-4))
    likely = result.details["sa"]["probabilities"]
    assert likely["Yes"] == pytest.approx(3 * likely["No"], rel=1e-3)
    assert judge.info.scale == PROBABILITY


def test_the_original_cuts_a_long_prompt_and_strict_refuses_it(folder, clip):
    long, short = JudgeRequest(clip, "ball falls " * 200), JudgeRequest(clip, "a ball")
    refused, kept = VideoCon(model=str(folder), limit=1024).score([long, short])
    assert refused.kind == "length"
    assert kept.sa == pytest.approx(0.75, abs=1e-4)
    cut, whole = VideoCon(model=str(folder), limit=1024, reading="faithful").score([long, short])
    assert cut.details["sa"]["cut"]
    assert not cut.details["pc"]["cut"]
    assert whole.sa == pytest.approx(0.75, abs=1e-4)
    # The cut prompt lost its last turn, so the model stands elsewhere than after the space.
    assert cut.sa != pytest.approx(0.75, abs=1e-3)


def test_faithful_takes_the_softmax_in_the_models_type(folder, clip):
    judge = VideoCon(model=str(folder), reading="faithful", dtype="bfloat16")
    (result,) = judge.score([JudgeRequest(clip, "a ball")])
    likely = result.details["sa"]["probabilities"]
    for probability in likely.values():
        assert float(torch.tensor(probability).bfloat16()) == probability
    assert result.sa == pytest.approx(0.75, abs=0.02)


def test_the_contract_of_judges_holds(folder, clip):
    requests = [JudgeRequest(clip, "a ball"), JudgeRequest(clip, "water pours down a long pipe")]
    check_judge(lambda: VideoCon(model=str(folder)), requests)


def test_each_clip_of_a_batch_is_judged_as_if_alone(tmp_path):
    config = tiny.sizes()
    random = tiny.write_checkpoint(tmp_path / "judge", config, tiny.random_state(config, seed=3))
    requests = [
        JudgeRequest(Clip(tiny.write_clip(tmp_path / f"{n}.mp4", seed=n), str(n)), "ball " * n)
        for n in range(4)
    ]
    alone = VideoCon(model=str(random), batch=1).score(requests)
    together = VideoCon(model=str(random), batch=4).score(requests)
    for one, many in zip(alone, together, strict=True):
        assert (one.sa, one.pc) == (
            pytest.approx(many.sa, abs=1e-5),
            pytest.approx(many.pc, abs=1e-5),
        )
    assert len({round(one.sa, 6) for one in alone}) > 1
