"""Stage 1: supervised fine-tuning on chain-of-thought triples with TRL's ``SFTTrainer``.

The loss covers the reply alone (reasoning and prompt), as in the paper; no sample is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.folders import default_folder
from phybench.machine.model_folders import find_model
from phybench.refiners.language_model.conversation import load_tokenizer
from phybench.refiners.phyprompt import training_messages
from phybench.units.cache import Cache

from ..data.copying import copying_rows
from ..data.dataset import prepare
from ..data.triples import Triple, write_data
from ..recipe.recipe import Recipe
from ..setup import (
    accumulation,
    check_installed,
    claim,
    dtype_of,
    last_checkpoint,
    lora_config,
    precision,
    process,
    save_checkpoint,
    save_weights,
)
from ..stage2.timing import timing_key
from .scratch import build_scratch

Tell = Callable[[str], None]


def train_sft(recipe: Recipe, tell: Tell) -> Path:
    """Do stage 1, or the rest of it.

    Args:
        recipe: What to do.
        tell: Receives notes for the user.

    Returns:
        Folder of the checkpoint, an adapter merged into it.

    Raises:
        ConfigError: If the data or the model cannot be used; before any training.
        MissingExtraError: If the extra ``train`` is not installed.
    """
    check_installed()
    work = claim(recipe.start, "sft", recipe)
    # A teacher is asked by one rank; the others find its answers in the cache.
    with process().main_process_first(), Cache(default_folder()) as cache:
        data = prepare(recipe, cache)
        if process().is_main_process:
            write_data(work, data.samples, data.facts)
    tell(f"{len(data.samples)} samples: {data.facts}; {recipe.sft.copying} rows of copying before")
    start = _start(recipe, data.samples, work)
    check_lengths(data.samples, load_tokenizer(start), recipe)
    if recipe.sft.copying:
        start = _copied(recipe, data.samples, start, work, tell)
    trainer = _trained(recipe, data.samples, start, work, tell)
    if trainer.accelerator.is_main_process:
        save_checkpoint(trainer, trainer.processing_class, recipe.start, recipe, "sft")
    trainer.accelerator.wait_for_everyone()
    return recipe.start


def _copied(recipe: Recipe, samples: Sequence[Triple], start: Path, work: Path, tell: Tell) -> Path:
    """Folder of the model that has learnt to copy; the phase is done once."""
    folder = work / "copied"
    if not folder.is_dir():
        trainer = _copying_trainer(recipe, samples, start, work / "copying", tell)
        if trainer.accelerator.is_main_process:
            draft = work / "copied.draft"
            save_weights(trainer, trainer.processing_class, draft)
            draft.rename(folder)
        trainer.accelerator.wait_for_everyone()
    return folder


def _copying_trainer(
    recipe: Recipe, samples: Sequence[Triple], start: Path, work: Path, tell: Tell
) -> Any:
    """A trainer that has gone through the rows of copying, from its last checkpoint if any."""
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments, default_data_collator

    from ..stage2.callbacks import Progress

    tokenizer = load_tokenizer(start)
    rows = copying_rows(
        sorted({sample.prompt for sample in samples}),
        lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"]),
        sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids)),
        recipe.sft.copying,
        recipe.seed,
    )
    trainer = Trainer(
        model=_model(recipe, start),
        args=TrainingArguments(
            **{
                **_schedule(recipe, work),
                "num_train_epochs": 1.0,
                "learning_rate": recipe.sft.copying_rate,
                "lr_scheduler_type": "cosine",
                "warmup_steps": 20,
                "adam_beta2": 0.98,
            }
        ),
        train_dataset=Dataset.from_list(rows),
        data_collator=default_data_collator,
        processing_class=tokenizer,
        callbacks=[Progress(tell)],
    )
    return _run(trainer, work)


def _run(trainer: Any, work: Path) -> Any:
    """Train from the last checkpoint, if there is one."""
    from ..stage2.callbacks import quiet

    quiet(trainer)
    trainer.train(resume_from_checkpoint=last_checkpoint(work))
    trainer.save_state()
    return trainer


def _model(recipe: Recipe, start: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, dtype_of(recipe))
    return AutoModelForCausalLM.from_pretrained(start, dtype=dtype, local_files_only=True)


def _trained(recipe: Recipe, samples: Sequence[Triple], start: Path, work: Path, tell: Tell) -> Any:
    """A trainer that has gone through samples, from its last checkpoint if there is one."""
    from trl import SFTTrainer  # type: ignore[attr-defined]

    from ..stage2.callbacks import Progress, StepTimer

    trainer = SFTTrainer(
        model=_model(recipe, start),
        args=_arguments(recipe, work),
        train_dataset=sft_dataset(samples, recipe.instructions),
        processing_class=load_tokenizer(start),
        peft_config=lora_config(recipe.sft.lora),
        callbacks=[Progress(tell), StepTimer(timing_key(recipe, "sft"))],
    )
    return _run(trainer, work)


def sft_dataset(samples: Sequence[Triple], instructions: str) -> Any:
    """The triples as TRL's prompt-completion conversations, on whose completion the loss lies."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": training_messages(sample.prompt, instructions),
                "completion": [{"role": "assistant", "content": sample.reply}],
            }
            for sample in samples
        ]
    )


def check_lengths(samples: Sequence[Triple], tokenizer: Any, recipe: Recipe) -> None:
    """Refuse data that the trainer would cut silently, or replies longer than inference allows.

    Raises:
        ConfigError: Naming the longest sample.
    """
    whole, reply = 0, 0
    for sample in samples:
        whole = max(whole, conversation_tokens(sample, tokenizer, recipe))
        reply = max(reply, 1 + len(tokenizer(sample.reply, add_special_tokens=False)["input_ids"]))
    if whole > recipe.sft.max_length:
        raise ConfigError(
            f"Expected `sft.max_length` ≥ {whole}, the longest sample in tokens, but got "
            f"{recipe.sft.max_length}: longer samples would be cut."
        )
    if reply > recipe.grpo.max_new_tokens:
        raise ConfigError(
            f"Expected `grpo.max_new_tokens` ≥ {reply}, the longest reply in tokens, but got "
            f"{recipe.grpo.max_new_tokens}: the model would learn replies that are cut later."
        )


def conversation_tokens(sample: Triple, tokenizer: Any, recipe: Recipe) -> int:
    """Tokens of a sample's whole conversation."""
    turns = training_messages(sample.prompt, recipe.instructions)
    turns.append({"role": "assistant", "content": sample.reply})
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _start(recipe: Recipe, samples: Sequence[Triple], work: Path) -> Path:
    """Folder of the model that training begins from; nothing is fetched from a network."""
    shape = recipe.model.scratch
    if shape is None:
        return find_model(recipe.model.path, recipe.model.revision).path
    folder = work / "base"
    texts = [text for sample in samples for text in (sample.prompt, sample.reply)]
    with process().main_process_first():
        if not (folder / "tokenizer.json").is_file():
            build_scratch(shape, [*texts, recipe.instructions], recipe.seed, folder)
    return folder


def _arguments(recipe: Recipe, work: Path) -> Any:
    from trl import SFTConfig  # type: ignore[attr-defined]

    return SFTConfig(
        max_length=recipe.sft.max_length,
        packing=False,
        completion_only_loss=True,
        **_schedule(recipe, work),
    )


def _schedule(recipe: Recipe, work: Path) -> dict[str, Any]:
    """What both phases tell their trainer."""
    sft = recipe.sft
    return {
        "output_dir": str(work),
        "seed": recipe.seed,
        "num_train_epochs": sft.epochs,
        "per_device_train_batch_size": sft.micro_batch,
        "gradient_accumulation_steps": accumulation(sft.batch, sft.micro_batch, "`sft.batch`"),
        "learning_rate": sft.learning_rate,
        "lr_scheduler_type": sft.scheduler,
        "warmup_steps": sft.warmup,
        "weight_decay": sft.weight_decay,
        "save_steps": sft.save_every,
        "save_total_limit": 2,
        "logging_steps": 10,
        "disable_tqdm": True,
        "report_to": list(recipe.report_to),
        **precision(recipe),
    }
