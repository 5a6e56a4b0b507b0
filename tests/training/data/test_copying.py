"""Rows that teach repetition: where their loss lies, and that nothing else could be predicted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.training.data.copying import IGNORED, ROW_TOKENS, copying_rows
from phybench.training.recipe.parts import Scratch
from phybench.training.stage1.scratch import build_scratch

TEXTS = ["A red ball falls onto a table.", "Someone pushes a small blue cube over a wooden desk."]
IDS = range(3, 300)


def encode(text: str) -> list[int]:
    """A word's length and first letter: enough for rows, as only repetition matters there."""
    return [3 + (7 * len(word) + ord(word[0])) % 290 for word in text.split()]


@given(seed=st.integers(0, 10_000))
def test_the_loss_lies_on_what_stood_in_the_row_before(seed):
    for row in copying_rows(TEXTS, encode, IDS, 6, seed):
        tokens, labels = row["input_ids"], row["labels"]
        assert len(tokens) == len(labels) == ROW_TOKENS
        learnt = [at for at, label in enumerate(labels) if label != IGNORED]
        assert len(learnt) >= 8
        pairs = list(pairwise(tokens))
        for at in learnt:
            assert labels[at] == tokens[at]
            # The token and the one before it stood there together: it can be copied.
            assert (tokens[at - 1], tokens[at]) in pairs[: at - 1]


def test_rows_are_the_same_for_a_seed_and_their_distances_vary():
    rows = copying_rows(TEXTS, encode, IDS, 40, seed=1)
    assert rows == copying_rows(TEXTS, encode, IDS, 40, seed=1)
    assert rows != copying_rows(TEXTS, encode, IDS, 40, seed=2)
    assert all(set(row["input_ids"]) <= set(IDS) for row in rows)
    distances = Counter()
    for row in rows:
        tokens = row["input_ids"]
        for at in range(1, len(tokens)):
            if row["labels"][at] != IGNORED:
                before = [
                    i for i in range(1, at) if tokens[i - 1 : i + 1] == tokens[at - 1 : at + 1]
                ]
                distances[at - before[-1]] += 1
    assert max(distances.values()) < 0.15 * sum(distances.values())


def test_a_new_models_first_heads_look_at_the_token_before(tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    shape = Scratch(vocabulary=300, hidden=64, layers=2, heads=2, context=128)
    build_scratch(shape, TEXTS, 0, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    tokens = torch.randint(3, 300, (4, 60), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = model(input_ids=tokens, output_attentions=True).attentions[0]
    at = torch.arange(20, 60)
    looks_back = first[:, :, at, at - 1].mean(dim=(0, 2))  # per head
    assert (looks_back > 0.5).all()
