"""The bundled prompt sets are what the builder makes, balanced, and apart from each other."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources

import pytest

from phybench.tabletop.texts.language import understand
from phybench.tabletop.texts.prompt_sets import (
    STATED_SHARE,
    TEST_ROWS,
    TRAIN_ROWS,
    build,
    write_prompt_sets,
)
from phybench.tabletop.world.families import FAMILIES


def test_the_files_are_the_builders_output(tmp_path):
    write_prompt_sets(tmp_path)
    bundled = resources.files("phybench.tabletop").joinpath("prompts")
    for split in ("train", "test"):
        name = f"tabletop-{split}.jsonl"
        assert bundled.joinpath(name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(("split", "count"), [("train", TRAIN_ROWS), ("test", TEST_ROWS)])
def test_rows_are_unique_and_families_balanced(split, count):
    rows = build(split)
    assert len(rows) == count
    assert len({row.id for row in rows}) == count
    assert len({row.text for row in rows}) == count
    families = Counter(row.family for row in rows)
    assert set(families) == set(FAMILIES)
    assert max(families.values()) - min(families.values()) == 0
    stated = sum(row.stated for row in rows) / count
    assert abs(stated - STATED_SHARE) < 0.05


def combinations(rows):
    return {(r.family, w.shape, w.colour) for r in rows for w in understand(r.text).wants[:1]}


def test_the_test_set_is_held_out():
    train, test = build("train"), build("test")
    assert not {row.text for row in train} & {row.text for row in test}
    known = combinations(train)
    for kind in ("combination", "both"):
        assert not combinations([r for r in test if r.held_out == kind]) & known
    assert combinations([r for r in test if r.held_out == "wording"]) <= known
    counts = Counter(row.held_out for row in test)
    assert min(counts.values()) >= 0.3 * len(test)
    assert {row.held_out for row in train} == {"nothing"}


def test_held_out_wordings_share_no_noun_with_training():
    words = {w for r in build("train") for w in r.text.lower().replace(".", "").split()}
    assert not words & {"marble", "box", "boxes", "pyramid", "brick", "bricks", "lemonade"}


def test_the_first_hundred_test_rows_are_a_fair_sample():
    rows = build("test")
    part = Counter(row.family for row in rows[:100])
    assert set(part) == set(FAMILIES)
    assert max(part.values()) <= 16
    assert abs(sum(row.stated for row in rows[:100]) / 100 - STATED_SHARE) < 0.12
    kinds = Counter(row.held_out for row in rows[:100])
    assert min(kinds.values()) >= 20


def test_rows_are_json_with_an_id_and_a_text():
    for row in build("test")[:5]:
        assert {"id", "text"} <= json.loads(json.dumps(row.as_json())).keys()
