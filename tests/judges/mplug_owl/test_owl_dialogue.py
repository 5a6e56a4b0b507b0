"""Shared prefixes, padded questions and greedy answers equal asking one by one."""

from __future__ import annotations

import pytest
import tools.models.owl_checkpoint as tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from phybench.judges.mplug_owl.config import OwlConfig
from phybench.judges.mplug_owl.dialogue import Dialogue
from phybench.judges.mplug_owl.weights import build_model

SPACE, EOS = 17, 2
HEAD = [1, 300, 301, 302, *[-2] * 6]
QUESTIONS = [[303, 304, 305, 306, SPACE], [307, SPACE], [308, 309, 310, SPACE]]


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    config = tiny.sizes()
    state = tiny.random_state(config, seed=11)
    return build_model(
        OwlConfig.model_validate(config), state.items(), device="cpu", dtype=torch.float32
    )


@pytest.fixture(scope="module")
def media():
    return torch.randn(3, 6, 32, generator=torch.Generator().manual_seed(2))


def greedy(model, ids, media, limit):
    """One prompt, no cache, no padding: the whole sequence again for every token."""
    ids, new = list(ids), []
    while len(new) < limit:
        token = int(model.logits(torch.tensor([ids]), media[None])[0, -1].argmax())
        if token == EOS:
            return new, True
        new.append(token)
        ids.append(token)
    return new, False


@torch.inference_mode()
def test_batched_answers_equal_one_by_one(model, media):
    dialogue = Dialogue(model, space_id=SPACE, eos_id=EOS)
    # A different number of questions per clip.
    prompts = [[HEAD + q for q in QUESTIONS], [HEAD + QUESTIONS[1]], [HEAD + q for q in QUESTIONS]]
    asked = dialogue.ask(media, prompts)
    flat = [(ids, clip) for clip, asked_ids in enumerate(prompts) for ids in asked_ids]
    for row, (ids, clip) in enumerate(flat):
        alone = model.logits(torch.tensor([ids]), media[clip : clip + 1])[0, -1]
        torch.testing.assert_close(asked.now[row], alone, atol=2e-5, rtol=0)
        spaced = model.logits(torch.tensor([[*ids, SPACE]]), media[clip : clip + 1])[0, -1]
        torch.testing.assert_close(asked.after_space[row], spaced, atol=2e-5, rtol=0)
    written = dialogue.write(asked, 12)
    expected = [greedy(model, ids, media[clip], 12) for ids, clip in flat]
    assert [(list(reply.ids), reply.finished) for reply in written] == expected


def speaking(table, text_width=32):
    config = tiny.sizes(text={"hidden_size": text_width, "num_attention_heads": 4})
    state = tiny.markov(tiny.random_state(config), table)
    return build_model(
        OwlConfig.model_validate(config), state.items(), device="cpu", dtype=torch.float32
    )


@torch.inference_mode()
@pytest.mark.parametrize("space_first", [True, False])
def test_rows_that_end_early_do_not_disturb_the_others(media, space_first):
    # After 50: (space,) 60, end. After 51: 61, 62, 63, end.
    first = SPACE if space_first else 60
    table = {
        50: {first: 9.0},
        SPACE: {60: 9.0},
        60: {EOS: 9.0},
        51: {61: 9.0},
        61: {62: 9.0},
        62: {63: 9.0},
        63: {EOS: 9.0},
    }
    dialogue = Dialogue(speaking(table), space_id=SPACE, eos_id=EOS)
    asked = dialogue.ask(media[:1], [[[*HEAD, 50], [*HEAD, 99, 98, 51], [*HEAD, 97, 50]]])
    short = (SPACE, 60) if space_first else (60,)
    written = dialogue.write(asked, 9)
    assert [reply.ids for reply in written] == [short, (61, 62, 63), short]
    assert all(reply.finished for reply in written)


@torch.inference_mode()
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_an_answer_is_cut_at_the_limit_and_says_so(media, limit):
    dialogue = Dialogue(speaking({50: {61: 9.0}, 61: {50: 9.0}}), space_id=SPACE, eos_id=EOS)
    (reply,) = dialogue.write(dialogue.ask(media[:1], [[[*HEAD, 50]]]), limit)
    assert (reply.ids, reply.finished) == ((61, 50, 61)[:limit], False)


@torch.inference_mode()
def test_probabilities_add_both_ways_to_write_an_answer(media):
    # softmax over 400 logits: 3 and 2 for the digits, 4 for the space, 0 for the other 397.
    table = {50: {60: 3.0, 61: 2.0, SPACE: 4.0}, SPACE: {60: 1.0, 61: 5.0}}
    dialogue = Dialogue(speaking(table), space_id=SPACE, eos_id=EOS)
    asked = dialogue.ask(media[:1], [[[*HEAD, 50]]])
    found = dialogue.probabilities(asked, 0, {"a": ([60], [60]), "b": ([61], [61])})
    now = torch.zeros(400).index_put((torch.tensor([60, 61, SPACE]),), torch.tensor([3.0, 2, 4]))
    then = torch.zeros(400).index_put((torch.tensor([60, 61]),), torch.tensor([1.0, 5]))
    now, then = now.softmax(0), then.softmax(0)
    assert found["a"] == pytest.approx(float(now[60] + now[SPACE] * then[60]), rel=1e-4)
    assert found["b"] == pytest.approx(float(now[61] + now[SPACE] * then[61]), rel=1e-4)


def test_prompts_that_do_not_begin_alike_are_refused(model, media):
    dialogue = Dialogue(model, space_id=SPACE, eos_id=EOS)
    with pytest.raises(ValueError, match="share"):
        dialogue.ask(media[:1], [[[*HEAD, 50], [9, *HEAD[1:], 50]]])
