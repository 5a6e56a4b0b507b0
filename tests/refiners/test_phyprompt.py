from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the extra `local` is not installed")

from tools.models.tiny_language_models import build_model, build_tokenizer, save, teach

from phybench.errors import ConfigError
from phybench.plugins.contracts import Failure
from phybench.refiners.phyprompt import (
    CARD_FILE,
    CheckpointCard,
    PhyPrompt,
    default_checkpoint,
    read_card,
    training_messages,
    write_card,
)
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, write_chain

SYSTEM = "Think about physics, then rewrite."
CHAINS = {
    "a ball drops": ChainOfThought(
        law="gravity",
        motion="falls, bounces",
        forces="weight, floor",
        materials="rubber",
        environment="a floor",
        prompt="A ball falls and bounces lower each time.",
    ),
    "ice floats": ChainOfThought(
        law="buoyancy",
        motion="rests, bobs",
        forces="weight, water",
        materials="ice",
        environment="a glass",
        prompt="Ice floats with its top above the water.",
    ),
}
PROMPTS = list(CHAINS)
CARD = CheckpointCard(
    size="7b",
    stage="grpo",
    system_prompt=SYSTEM,
    base_model="tiny",
    base_revision="1",
    max_new_tokens=120,
)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([SYSTEM, *PROMPTS, *(write_chain(chain) for chain in CHAINS.values())])


def lessons(replies):
    return [(training_messages(text, SYSTEM), reply) for text, reply in replies.items()]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tokenizer):
    """A whole model, trained, with its card."""
    model = build_model(len(tokenizer))
    replies = {text: write_chain(chain) for text, chain in CHAINS.items()}
    assert teach(model, tokenizer, lessons(replies), steps=120) < 0.05
    folder = save(tmp_path_factory.mktemp("phyprompt") / "trained", model, tokenizer)
    write_card(folder, CARD)
    return folder


def phyprompt(folder, **options):
    settings = {"device": "cpu", "temperature": 0, **options}
    return PhyPrompt(checkpoint=str(folder), **settings)


@pytest.mark.slow
def test_reasoning_and_prompt_are_told_apart(checkpoint):
    refined = phyprompt(checkpoint).refine(PROMPTS, [0, 1])
    expected = [(CHAINS[text].prompt, CHAINS[text].reasoning) for text in PROMPTS]
    assert [(one.text, one.reasoning) for one in refined] == expected


@pytest.mark.slow
def test_adapter_checkpoint_runs_on_its_base(checkpoint, tmp_path, tokenizer):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    other = replace(CHAINS[PROMPTS[0]], prompt="Ice falls.")
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear"))
    assert teach(model, tokenizer, lessons({PROMPTS[0]: write_chain(other)}), steps=60) < 0.05
    model.save_pretrained(tmp_path)
    write_card(tmp_path, replace(CARD, base_model=str(checkpoint), base_revision="moved"))
    assert phyprompt(tmp_path).refine(PROMPTS[:1], [0])[0].text == "Ice falls."
    write_card(tmp_path, replace(CARD, base_model="owner/elsewhere"))
    assert (
        phyprompt(tmp_path, base=str(checkpoint)).refine(PROMPTS[:1], [0])[0].text == "Ice falls."
    )
    with pytest.raises(ConfigError, match="hf download owner/elsewhere --revision 1"):
        phyprompt(tmp_path)


@pytest.mark.slow
def test_a_reply_that_cannot_be_used_is_drawn_again(tmp_path, tokenizer):
    """The model has learnt two replies to one prompt, one of them without a prompt at its end."""
    model, text = build_model(len(tokenizer)), PROMPTS[0]
    whole = write_chain(CHAINS[text])
    pairs = [(training_messages(text, SYSTEM), reply) for reply in (whole, whole[:60])]
    teach(model, tokenizer, pairs, steps=120)
    folder = save(tmp_path / "either", model, tokenizer)
    write_card(folder, CARD)
    seeds = range(16)

    def drawn(tries):
        refiner = phyprompt(folder, temperature=1.0, batch=16, tries=tries)
        return refiner.refine([text] * len(seeds), seeds)

    once, often = drawn(1), drawn(8)
    failed = [isinstance(one, Failure) for one in once]
    assert 0 < sum(failed) < len(seeds)
    assert sum(isinstance(one, Failure) for one in often) < sum(failed)
    for before, after in zip(once, often, strict=True):
        if isinstance(before, Failure):
            assert isinstance(after, Failure) or after.meta["tries"] > 1
        else:
            assert after == before
    assert drawn(8) == often


def test_several_tries_need_chance(checkpoint):
    with pytest.raises(ConfigError, match="`temperature` to be > 0 with `tries=2`"):
        phyprompt(checkpoint, tries=2)
    once, twice = (phyprompt(checkpoint, temperature=0.5, tries=tries).info for tries in (1, 2))
    assert once.fingerprint != twice.fingerprint


def test_a_reply_without_the_six_lines_is_a_failure(checkpoint):
    result = phyprompt(checkpoint, max_new_tokens=12).refine(PROMPTS[:1], [0])[0]
    assert isinstance(result, Failure)
    assert result.kind == "length"


def test_name_prompt_and_fingerprint_come_from_the_card(checkpoint):
    refiner = phyprompt(checkpoint)
    assert refiner.info.name == "phyprompt-7b"
    assert refiner.system_prompt == SYSTEM
    assert refiner.info.fingerprint["card"]["stage"] == "grpo"
    assert refiner.info.fingerprint["sampling"]["max_new_tokens"] == 120


@pytest.mark.parametrize("size", ["7b", "3b", "1.5b"])
def test_no_checkpoint_names_the_training_command_and_the_place(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PHYBENCH_CHECKPOINTS", raising=False)
    with pytest.raises(ConfigError) as error:
        PhyPrompt(size=size)
    recipe = f"phyprompt-{size}"
    assert f"phybench train sft {recipe} && phybench train grpo {recipe}" in str(error.value)
    assert str(tmp_path / "checkpoints" / recipe) in str(error.value)


def test_default_place_can_be_moved(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("PHYBENCH_CHECKPOINTS", str(tmp_path))
    assert default_checkpoint("3b") == tmp_path / "phyprompt-3b"
    (tmp_path / "phyprompt-7b").symlink_to(checkpoint)
    assert PhyPrompt(device="cpu").info.name == "phyprompt-7b"


def test_an_untrained_model_never_runs_under_this_name(checkpoint, tmp_path):
    import shutil

    raw = shutil.copytree(checkpoint, tmp_path / "raw", ignore=shutil.ignore_patterns(CARD_FILE))
    with pytest.raises(ConfigError, match=r"not a trained PhyPrompt.*local:model="):
        phyprompt(raw)


def test_card_survives_writing(tmp_path):
    write_card(tmp_path, CARD)
    assert read_card(tmp_path) == CARD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "none"}, "stage"),
        ({"system_prompt": None}, "system_prompt"),
        ({"format_version": 99}, "was trained with format 99"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, change, message):
    write_card(tmp_path, CARD)
    data = json.loads((tmp_path / CARD_FILE).read_text())
    (tmp_path / CARD_FILE).write_text(json.dumps({**data, **change}))
    with pytest.raises(ConfigError, match=message):
        read_card(tmp_path)


def test_base_is_refused_for_a_whole_model(checkpoint):
    with pytest.raises(ConfigError, match="a whole model"):
        phyprompt(checkpoint, base="owner/base")
