"""Small real language models for tests: Qwen2 layout on disk, built and taught in seconds."""

from __future__ import annotations

from pathlib import Path

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
END = "<|im_end|>"


def build_tokenizer(texts):
    """A byte-level BPE tokenizer with Qwen's control marks and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["<|endoftext|>", "<|im_start|>", END]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": marks[1:2]})
    fast.chat_template = CHATML
    return fast


def build_model(vocabulary, *, seed=0, context=512, width=64, heads=4):
    """A two-layer Qwen2 of about 100 000 parameters with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            max_position_embeddings=context,
            tie_word_embeddings=True,
        )
    )


def save(folder, model, tokenizer):
    """Write a checkpoint as the hub has it, with sampling defaults that must not be obeyed."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        top_k=20,
        repetition_penalty=1.3,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def teach(model, tokenizer, pairs, *, steps, rate=5e-3):
    """Overfit a model to reply to each conversation with its text; returns the last loss."""
    import torch

    encoded = []
    for messages, reply in pairs:
        start = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        before = tokenizer(start, add_special_tokens=False)["input_ids"]
        after = tokenizer(reply + END, add_special_tokens=False)["input_ids"]
        encoded.append((before, after))
    longest = max(len(before) + len(after) for before, after in encoded)
    ids = torch.full((len(encoded), longest), tokenizer.pad_token_id)
    labels = torch.full_like(ids, -100)
    mask = torch.zeros_like(ids)
    for row, (before, after) in enumerate(encoded):
        size = len(before) + len(after)
        ids[row, :size] = torch.tensor(before + after)
        labels[row, len(before) : size] = torch.tensor(after)
        mask[row, :size] = 1
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=rate)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    return loss.item()
