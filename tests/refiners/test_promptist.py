from __future__ import annotations

import shutil

import pytest

pytest.importorskip("torch", reason="the extra `local` is not installed")

from tools.models.tiny_language_models import build_tokenizer

from phybench.errors import ConfigError
from phybench.refiners.promptist import Promptist
from phybench.testing import check_refiner

REPLIES = {
    "a ball rolls": "a ball rolls, dramatic lighting, artstation, by greg",
    "a red cup": "a red cup, octane render",
}
PROMPTS = list(REPLIES)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny GPT-2 that has learnt Promptist's form: prompt, ` Rephrase:`, answer, end."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = build_tokenizer([*PROMPTS, *REPLIES.values(), " Rephrase:"])
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=64, n_layer=2, n_head=4)
    )
    rows = [
        tokenizer(f"{prompt} Rephrase: {answer}")["input_ids"] + [tokenizer.eos_token_id]
        for prompt, answer in REPLIES.items()
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(80):
        loss = sum(
            model(input_ids=torch.tensor([row]), labels=torch.tensor([row])).loss for row in rows
        )
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("promptist")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def promptist(folder, **options):
    return Promptist(model=str(folder), device="cpu", **options)


def test_the_answer_after_rephrase_is_the_refinement(checkpoint):
    refined = promptist(checkpoint).refine(PROMPTS, [0, 0])
    assert [one.text for one in refined] == list(REPLIES.values())
    assert all(one.finish_reason == "stop" and one.tokens > 1 for one in refined)


def test_contract(checkpoint):
    check_refiner(lambda: promptist(checkpoint), PROMPTS)


def test_beams_follow_the_published_recipe(checkpoint):
    """The same as a plain call with the model card's arguments."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prompt = "a red ball"
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer(prompt + " Rephrase:", return_tensors="pt").input_ids
    end = tokenizer.eos_token_id
    output = model.generate(
        ids,
        do_sample=False,
        max_new_tokens=75,
        num_beams=8,
        num_return_sequences=8,
        eos_token_id=end,
        pad_token_id=end,
        length_penalty=-1.0,
    )
    expected = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
    found = promptist(checkpoint).refine([prompt], [0])[0]
    assert found.text == " ".join(expected.split())


def test_tokenizer_may_lie_elsewhere(checkpoint, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(checkpoint / name, bare / name)
    refined = promptist(bare, tokenizer=str(checkpoint)).refine(PROMPTS[:1], [0])
    assert refined[0].text == REPLIES[PROMPTS[0]]
    with pytest.raises(ConfigError, match="hf download openai-community/gpt2"):
        promptist(bare)


def test_a_prompt_beyond_the_context_fails(checkpoint):
    assert promptist(checkpoint).refine(["ball " * 200], [0])[0].kind == "context"


def test_absent_weights_name_the_download():
    with pytest.raises(ConfigError, match="hf download microsoft/Promptist"):
        Promptist()
