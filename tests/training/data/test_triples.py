from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from tools.services.fake_openai import FakeOpenAI, reply

from phybench.errors import ConfigError
from phybench.plugins.contracts import Prompt
from phybench.prompts.prompt_sets import load_prompts
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, parse
from phybench.tabletop.texts.language import understand
from phybench.tabletop.world.families import FAMILIES
from phybench.training.data.dataset import prepare
from phybench.training.data.decontamination import without_test_prompts
from phybench.training.data.from_tabletop import sentences, tabletop_triples
from phybench.training.data.from_teacher import ask_teacher, explain_phygenbench
from phybench.training.data.triples import kept, read_triples, triple, write_data
from phybench.training.recipe.recipe import load_recipe
from phybench.units.cache import Cache

CHAIN = ChainOfThought(
    law="gravity",
    motion="it falls",
    forces="weight",
    materials="rubber",
    environment="a table",
    prompt="A red ball falls onto a table. Gravity pulls it down.",
)
FALL = triple("A red ball falls onto a table.", CHAIN, "test")


def with_prompt(prompt, target=None):
    return triple(prompt, replace(CHAIN, prompt=target or f"{prompt} Gravity acts."), "test")


def test_a_triple_survives_its_file(tmp_path):
    write_data(tmp_path, [FALL], {"source": "test"})
    assert read_triples(tmp_path / "cot.jsonl") == [FALL]
    card = json.loads((tmp_path / "cot-card.json").read_text())
    assert (card["rows"], card["sources"], card["source"]) == (1, {"test": 1}, "test")
    assert len(card["sha256"]) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"law": ""}, "`law` in row 1"),
        ({"law": 3}, "`law` in row 1"),
        ({"motion": "two\nlines"}, "one line"),
        ({"refined": "Law: leaked into the prompt"}, "no reasoning"),
    ],
)
def test_rows_that_break_the_schema_are_named(tmp_path, change, message):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**FALL.as_json(), **change}) + "\n")
    with pytest.raises(ConfigError, match=message):
        read_triples(path)


def test_the_checks_say_why_a_triple_falls():
    samples = [
        FALL,
        FALL,
        with_prompt("A cat sleeps.", "A cat sleeps."),
        with_prompt("Three red balls roll.", "Red balls roll on the floor."),
        with_prompt("A green frog jumps over a log.", "A blue car drives through rain."),
        with_prompt("A dog runs.", "A dog runs." + " It goes on." * 60),
        with_prompt("A bird sings.", "I'm sorry, but I cannot help with that."),
    ]
    good, reasons = kept(samples, max_words=50)
    assert good == [FALL]
    assert reasons == {
        "duplicate": 1,
        "prompt unchanged": 1,
        "subject lost": 2,
        "too long": 1,
        "refusal": 1,
    }


def test_evaluation_prompts_are_kept_out(tmp_path):
    evaluation = tmp_path / "test.txt"
    evaluation.write_text(
        "A red ball falls onto a table.\nOne two three four five six seven eight.\n"
    )
    exact = with_prompt("a red BALL falls onto a table")
    overlapping = with_prompt("Zero one two three four five six seven.")
    free = with_prompt("A blue cube slides along a desk.")
    found = without_test_prompts([exact, overlapping, free], [str(evaluation)], ngram=6)
    assert (found.samples, found.exact, found.overlapping) == ((free,), 1, 1)
    assert list(found.against) == ["test"]


def test_the_worlds_reasoning_is_in_the_format_and_states_what_was_simulated():
    prompts = load_prompts("tabletop-train", 40).prompts
    made = tabletop_triples(prompts, variants=2, seed=0)
    assert len(made) == 80
    assert made == tabletop_triples(prompts, variants=2, seed=0)
    for one in made:
        assert parse(one.reply) == one.chain
        assert one.chain.prompt.startswith(one.prompt)
    as_written = {prompt.text for prompt in prompts}
    falls = [
        one for one in made if one.prompt in as_written and understand(one.prompt).family == "drop"
    ]
    assert {one.chain.motion for one in falls} == {
        "it falls, fastest at 0.6 s, at rest after 2.0 s"
    }
    copied = [one for one in made if one.prompt not in as_written]
    assert copied  # some have made-up words, so that copying is learnt


def test_variants_have_synonyms_that_leave_the_event_as_it_is():
    prompts = load_prompts("tabletop-train", 60).prompts
    made = tabletop_triples(prompts, variants=4, seed=0)
    known = {word for prompt in prompts for word in prompt.text.lower().split()}
    words = {word for one in made for word in one.prompt.lower().split()}
    assert {"marble", "pyramid"} & (words - known)
    families = {understand(prompt.text).family for prompt in prompts}
    laws = {one.chain.law for one in made}
    assert len(laws) <= len(families)  # no reasoning about another event than the prompt's


def test_strange_words_hold_nearly_every_letter_pair_of_the_language():
    """A piece that a model only ever copied in one word is not copied in a new one."""
    prompts = load_prompts("tabletop-train").prompts
    known = {word for prompt in prompts for word in re.findall(r"[a-z]{4,}", prompt.text)}
    pairs = {word[at : at + 2] for word in known for at in range(len(word) - 1)}
    made = tabletop_triples(prompts[:300], 8, 0)
    strange = {word for one in made for word in re.findall(r"[a-z]+", one.prompt.lower())} - known
    seen = {word[at : at + 2] for word in strange for at in range(len(word) - 1)}
    assert len(pairs & seen) >= 0.95 * len(pairs), sorted(pairs - seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_sentence_turns_a_prompt_into_another_event(family):
    rows = [row for row in load_prompts("tabletop-train").prompts if row.meta["family"] == family]
    for row in rows[:10]:
        for sentence in sentences(family):
            assert understand(f"{row.text} {sentence}").family == family


def test_a_recipes_data_reports_what_it_dropped(workplace):
    recipe = load_recipe("phyprompt-mini", ["data.variants=1", "data.limit=60", "data.ngram=6"])
    with Cache(workplace / "cache") as cache:
        data = prepare(recipe, cache)
    report = data.facts["decontamination"]
    assert list(report["against"]) == ["tabletop-test"]
    assert report["ngram"] > 0
    assert len(data.samples) + report["ngram"] + report["exact"] == 60
    test_words = {prompt.text.lower() for prompt in load_prompts("tabletop-test").prompts}
    assert not any(sample.prompt.lower() in test_words for sample in data.samples)


def test_data_without_its_file_or_teacher_is_refused(workplace):
    with Cache(workplace / "cache") as cache:
        with pytest.raises(ConfigError, match=r"data\.teacher"):
            prepare(load_recipe("phyprompt-7b"), cache)
        with pytest.raises(ConfigError, match=r"--set data\.path=FILE"):
            prepare(load_recipe("phyprompt-7b", ["data.source=jsonl"]), cache)


def answer(prompt):
    lines = "Law: gravity\nMotion: falls\nForces: weight\nMaterials: rubber\nEnvironment: air"
    return reply(json.dumps({"reasoning": lines, "prompt": prompt}))


def test_a_teacher_is_asked_once_and_its_bad_answers_are_counted(workplace):
    prompts = [Prompt("a", "A ball falls."), Prompt("b", "A cup tips.")]

    def act(body):
        text = json.dumps(body["messages"])
        if "ball" in text:
            return answer("A ball falls because gravity pulls it.")
        return reply(json.dumps({"reasoning": "just because", "prompt": "A cup tips over."}))

    with FakeOpenAI(act) as server, Cache(workplace / "cache") as cache:
        spec = f"chat:base_url={server.url},model=m,key_env=,tries=1"
        taught = ask_teacher(spec, prompts, cache, seed=0)
        asked = len(server.requests)
        again = ask_teacher(spec, prompts, cache, seed=0)
        assert len(server.requests) == asked
    assert taught == again
    assert [one.prompt for one in taught.triples] == ["A ball falls."]
    assert taught.triples[0].chain.law == "gravity"
    assert taught.failed == {"format": 1}


def test_phygenbench_targets_are_taken_word_for_word(workplace):
    rows = [
        {
            "caption": "A ball rolls down.",
            "physical_laws": "gravity",
            "explicit_caption": "A ball rolls down, faster and faster.",
        }
    ]
    path = workplace / "explicit_prompts.json"
    path.write_text(json.dumps(rows))
    with FakeOpenAI([answer("Something else.")]) as server, Cache(workplace / "cache") as cache:
        spec = f"chat:base_url={server.url},model=m,key_env=,tries=1"
        taught = explain_phygenbench(spec, path, cache, seed=0)
    assert taught.triples[0].chain.prompt == "A ball rolls down, faster and faster."
    path.write_text(json.dumps([{"caption": "only"}]))
    with Cache(workplace / "cache") as cache, pytest.raises(ConfigError, match="row 1"):
        explain_phygenbench("identity", path, cache, seed=0)


def test_the_tabletop_recipe_and_every_plugin_of_the_recipes_is_known():
    from phybench.plugins.registry import names

    for recipe in map(load_recipe, ["phyprompt-7b", "phyprompt-3b", "phyprompt-1.5b"]):
        assert recipe.reward.generator in names("generator")
        assert {recipe.reward.judge, recipe.reward.holdout} <= set(names("judge"))
