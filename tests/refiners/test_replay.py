from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools.harness import do_run, numbers, rows, run_config, write_prompts

from phybench import ConfigError, Failure, Refinement
from phybench.plugins.registry import create
from phybench.testing import check_refiner


def test_contract(workplace: Path) -> None:
    Path("r.csv").write_text("prompt,refined\na ball,a red ball falls\na cup,a cup tips\n")
    check_refiner(
        lambda: create("refiner", "replay:file=r.csv"), ["a ball", "a cup", "not recorded"]
    )


def test_a_run_can_be_replayed_under_its_name(examples: Path) -> None:
    prompts = write_prompts(examples, 4)
    recorded = do_run(run_config(prompts, refiners=("shout",)), Path("one"), Path("cache"))
    replayed = do_run(
        run_config(prompts, refiners=("replay:file=one,as=shout",)), Path("two"), Path("c2")
    )
    for one, other in zip(numbers(recorded), numbers(replayed), strict=True):
        assert one.pop("signature") != other.pop("signature"), "a replay shows as one"
        assert one == other
    assert "shout@replayed-" in replayed.cells[0].signature
    (first, *_) = rows(Path("two/items.jsonl"))
    assert first["refinement"]["meta"]["replayed_from"] == "shout"


def test_one_of_several_recorded_refiners_must_be_chosen(examples: Path) -> None:
    do_run(run_config(write_prompts(examples, 2)), Path("one"), Path("cache"))
    with pytest.raises(ConfigError, match="identity, shout"):
        create("refiner", "replay:file=one")
    chosen = create("refiner", "replay:file=one,refiner=shout")
    text = rows(Path("one/items.jsonl"))[0]["prompt"]
    (found,) = chosen.refine([text], [rows(Path("one/items.jsonl"))[0]["seed"]])
    assert found.text == text.upper() + "!"


def test_what_was_not_recorded_fails_or_is_marked(workplace: Path) -> None:
    Path("r.jsonl").write_text(json.dumps({"caption": "a", "upsampled_caption": "a b c"}))
    (failure,) = create("refiner", "replay:file=r.jsonl").refine(["x"], [0])
    assert isinstance(failure, Failure)
    assert failure.kind == "missing"
    (kept,) = create("refiner", "replay:file=r.jsonl,missing=original").refine(["x"], [0])
    assert kept == Refinement("x", meta={"missing": True})


def test_a_seed_in_the_table_is_matched(workplace: Path) -> None:
    Path("r.csv").write_text("prompt,refined,seed\na,one,1\na,two,2\n")
    replay = create("refiner", "replay:file=r.csv")
    assert [each.text for each in replay.refine(["a", "a"], [2, 1])] == ["two", "one"]
    assert isinstance(replay.refine(["a"], [3])[0], Failure)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt,title\na,b\n", "`refined`"),
        ("prompt,refined\na,\n", "`refined` in row 1"),
        ("prompt,refined\na,b\na,c\n", "two different ones"),
        ("prompt,refined,seed\na,b,x\n", "`seed` in row 1"),
    ],
)
def test_a_bad_table_is_refused(workplace: Path, text: str, words: str) -> None:
    Path("r.csv").write_text(text)
    with pytest.raises(ConfigError) as error:
        create("refiner", "replay:file=r.csv")
    assert words in str(error.value)
