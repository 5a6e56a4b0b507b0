from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `local` is not installed")

from tools.models.tiny_language_models import build_model, build_tokenizer, save, teach

from phybench.errors import ConfigError
from phybench.refiners.rewriting.task import read_wording
from phybench.refiners.vpo import Vpo
from phybench.testing import check_refiner

TEMPLATE = "Write a harmless, aligned, helpful prompt for: {prompt}"
REPLIES = {
    "a ball rolls": "A red ball rolls over green grass in warm evening light.",
    "water pours": "Clear water pours into a tall glass and fills it to the brim.",
}
PROMPTS = list(REPLIES)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("vpo") / "card.txt"
    path.write_text(TEMPLATE)
    return str(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    tokenizer = build_tokenizer([TEMPLATE, *PROMPTS, *REPLIES.values()])
    model = build_model(len(tokenizer), context=2048)
    lessons = [
        ([{"role": "user", "content": TEMPLATE.replace("{prompt}", prompt)}], reply)
        for prompt, reply in REPLIES.items()
    ]
    assert teach(model, tokenizer, lessons, steps=150) < 0.01
    return save(tmp_path_factory.mktemp("vpo") / "model", model, tokenizer)


def vpo(checkpoint, template=""):
    return Vpo(model=str(checkpoint), template=template, device="cpu", batch=2)


@pytest.mark.slow
def test_the_whole_reply_is_the_prompt(checkpoint, template):
    refined = vpo(checkpoint, template).refine(PROMPTS, [0, 1])
    assert [one.text for one in refined] == list(REPLIES.values())


def test_contract(checkpoint, template):
    check_refiner(lambda: vpo(checkpoint, template), PROMPTS)


def test_which_wording_was_used_is_recorded(checkpoint, template):
    ours, theirs = vpo(checkpoint).info.fingerprint, vpo(checkpoint, template).info.fingerprint
    assert (ours["template_is"], theirs["template_is"]) == ("vpo-v1", "the user's")
    assert ours["template"] != theirs["template"]
    assert ours["sampling"] == {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 1024}


def test_our_wording_names_the_three_principles():
    text = read_wording("vpo-v1")
    assert all(word in text for word in ("Harmless", "Aligned", "Helpful", "{prompt}"))


def test_a_template_without_a_place_for_the_query_is_refused(checkpoint, tmp_path):
    (tmp_path / "t.txt").write_text("Write a prompt.")
    with pytest.raises(ConfigError, match=r"hold `\{prompt\}` once"):
        vpo(checkpoint, str(tmp_path / "t.txt"))


def test_absent_weights_name_the_download():
    with pytest.raises(ConfigError, match="hf download CCCCCC/VPO-5B"):
        Vpo()
