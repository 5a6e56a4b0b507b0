from __future__ import annotations

import json
import shutil

import pytest
from tools.training.tiny_training import PROMPTS, triples
from typer.testing import CliRunner

from phybench.cli.train import app
from phybench.errors import ConfigError
from phybench.plugins.contracts import Refinement
from phybench.refiners.phyprompt import PhyPrompt, read_card
from phybench.training.recipe.recipe import load_recipe
from phybench.training.setup import claim
from phybench.training.stage1.sft import check_lengths, sft_dataset, train_sft
from phybench.training.stage2.timing import timing_key


@pytest.mark.slow
def test_stage_one_gives_a_checkpoint_that_the_refiner_runs(tiny):
    folder = tiny.folder / "phyprompt-mini-sft"
    card = read_card(folder)
    assert (card.stage, card.size, card.system_prompt) == ("sft", "mini", "Physics first.")
    refiner = PhyPrompt(size="mini", checkpoint=str(folder), device="cpu", temperature=0.0)
    results = refiner.refine(PROMPTS, [0] * len(PROMPTS))
    good = [one for one in results if isinstance(one, Refinement)]
    assert len(good) >= 3
    assert all(len(one.reasoning.splitlines()) == 5 for one in good)


def test_the_card_of_the_data_lies_beside_the_states(tiny):
    card = json.loads(
        (tiny.folder / "phyprompt-mini-sft" / "training" / "cot-card.json").read_text()
    )
    assert card["rows"] == len(triples())


def test_the_loss_lies_on_the_reply_and_its_end_mark_alone(tiny, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    start = tiny.folder / "phyprompt-mini-sft"
    tokenizer = AutoTokenizer.from_pretrained(start)
    one = triples()[0]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(start),
        args=SFTConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            max_length=200,
            completion_only_loss=True,
            report_to=[],
        ),
        train_dataset=sft_dataset([one], "Physics first."),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[0]])
    labels = [int(label) for label in batch["labels"][0] if label != -100]
    assert tokenizer.decode(labels).strip() == f"{one.reply}<|im_end|>"


def test_samples_that_would_be_cut_are_refused(tiny, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.folder / "phyprompt-mini-sft")
    with pytest.raises(ConfigError, match=r"`sft.max_length` ≥ \d+"):
        check_lengths(triples(), tokenizer, tiny(tmp_path, "sft.max_length=50"))
    with pytest.raises(ConfigError, match=r"`grpo.max_new_tokens` ≥ \d+"):
        check_lengths(triples(), tokenizer, tiny(tmp_path, "grpo.max_new_tokens=20"))


@pytest.mark.slow
def test_an_adapter_is_merged_and_a_broken_off_stage_continues(tiny, tmp_path, monkeypatch):
    import torch
    from safetensors.torch import load_file

    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    base = tiny.folder / "phyprompt-mini-sft"
    changes = [
        *tiny.base,
        f"output='{tmp_path}'",
        "model={path: '" + str(base) + "', dtype: float32}",
        "sft.lora={rank: 4, alpha: 8}",
        "sft.epochs=4",
        "sft.save_every=2",
    ]
    recipe = load_recipe("phyprompt-mini", changes)
    whole = load_file(train_sft(recipe, print) / "model.safetensors")
    assert not (recipe.start / "adapter_config.json").exists()
    before = load_file(base / "model.safetensors")
    assert any(not torch.equal(whole[name], before[name]) for name in whole)
    shutil.rmtree(recipe.start / "training" / "checkpoint-4")
    again = load_file(train_sft(recipe, print) / "model.safetensors")
    assert all(torch.allclose(whole[name], again[name], atol=1e-6) for name in whole)


def test_another_recipe_does_not_continue_in_the_same_folder(tiny):
    other = load_recipe("phyprompt-mini", [*tiny.base, f"output='{tiny.folder}'", "seed=7"])
    with pytest.raises(ConfigError, match="of another one"):
        train_sft(other, print)


def test_a_key_that_is_newer_than_a_training_does_not_keep_it_from_continuing(tmp_path):
    recipe = load_recipe("phyprompt-mini", [f"output='{tmp_path}'"])
    note = claim(recipe.final, "grpo", recipe) / "recipe.json"
    stored = json.loads(note.read_text())
    del stored["recipe"]["grpo"]["begin"]
    note.write_text(json.dumps(stored))
    claim(recipe.final, "grpo", recipe)
    other = load_recipe("phyprompt-mini", [f"output='{tmp_path}'", "grpo.begin=base"])
    with pytest.raises(ConfigError, match="of another one"):
        claim(recipe.final, "grpo", other)
    note.write_text(json.dumps({"recipe": {"unknown": 1}}))
    with pytest.raises(ConfigError, match="of another one"):
        claim(recipe.final, "grpo", recipe)


@pytest.mark.slow
def test_a_new_model_first_learns_to_copy_and_that_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    changes = [
        *tiny.base,
        f"output='{tmp_path}'",
        "sft.copying=24",
        "grpo.max_new_tokens=120",
        "sft.epochs=3",
        "data.prompts=tabletop-train",
    ]
    notes = []
    work = train_sft(load_recipe("phyprompt-mini", changes), notes.append) / "training"
    assert "24 rows of copying before" in notes[0]
    first = (work / "copied" / "model.safetensors").read_bytes()
    assert (work / "copying" / "trainer_state.json").is_file()
    assert first != (work / "base" / "model.safetensors").read_bytes()
    assert first != (work.parent / "model.safetensors").read_bytes()
    train_sft(load_recipe("phyprompt-mini", changes), notes.append)
    assert (work / "copied" / "model.safetensors").read_bytes() == first


def sft_plan(*changes):
    flags = [part for change in changes for part in ("--set", change)]
    result = CliRunner().invoke(app, ["sft", "phyprompt-mini", "--dry-run", *flags])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_a_dry_run_of_stage_one_counts_and_trains_nothing(tiny, workplace):
    cost = sft_plan(*tiny.base, f"output='{workplace}'", "sft.copying=100")
    # 12 samples in batches of 12, 80 epochs; 100 rows in batches of 12.
    assert (cost["samples"], cost["steps"], cost["copying_steps"]) == (12, 80, 9)
    assert (cost["done"], cost["tokens"], cost["seconds"]) == (False, None, None)
    weights = (tiny.folder / "phyprompt-mini-sft" / "model.safetensors").stat().st_size
    assert cost["disk_bytes"] == pytest.approx(7 * weights, rel=0.02)
    assert not (workplace / "phyprompt-mini-sft").exists()


def test_what_was_done_before_makes_tokens_and_time_known(tiny, monkeypatch):
    from phybench.units.cache import Cache

    monkeypatch.setenv("PHYBENCH_CACHE", str(tiny.folder / "cache"))
    cost = sft_plan(*tiny.base, f"output='{tiny.folder}'")
    assert cost["done"]
    assert 12 * 80 * 40 < cost["tokens"] < 12 * 80 * 200
    with Cache(tiny.folder / "cache") as cache:
        recipe = load_recipe("phyprompt-mini", [*tiny.base, f"output='{tiny.folder}'"])
        step = cache.mean_seconds(timing_key(recipe, "sft"))
    assert cost["seconds"] == pytest.approx(80 * step)


def test_a_dry_run_asks_no_teacher(workplace):
    rows = [{"caption": "a", "physical_laws": "b", "explicit_caption": "c"}] * 3
    (workplace / "phygenbench.json").write_text(json.dumps(rows))
    (workplace / "prompts.txt").write_text("A ball falls.\nA cup tips.\n")
    asked = "data={source: teacher, teacher: no-such-teacher, prompts: prompts.txt}"
    cost = sft_plan(asked)
    assert (cost["teacher_answers"], cost["samples"], cost["tokens"]) == (2, 2, None)
    given = "data={source: phygenbench, path: phygenbench.json}"
    assert sft_plan(given)["teacher_answers"] == 3
    result = CliRunner().invoke(
        app, ["sft", "phyprompt-mini", "--dry-run", "--set", "data={source: phygenbench}"]
    )
    assert "--set data.path=FILE" in str(result.exception)
