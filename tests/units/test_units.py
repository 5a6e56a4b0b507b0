"""Small parts of the harness: seeds, digests, codec, cache, tables, progress, leaderboard text."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from phybench import Clip, Failure, Refinement, Score
from phybench.machine.digest import canonical_json, text_digest
from phybench.prompts.prompt_sets import load_prompts
from phybench.prompts.seeds import SEED_LIMIT, item_seed
from phybench.publish.text import csv_text, escape_markdown, inert
from phybench.running.pipeline import StageCount
from phybench.running.progress import line, shown
from phybench.units.cache import Cache
from phybench.units.codec import from_json, to_json

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
META = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.none()), max_size=3)
VALUES = st.one_of(
    st.builds(Refinement, TEXT, TEXT, st.none() | st.integers(0), TEXT, st.floats(0, 9), META),
    st.builds(Failure, TEXT, TEXT, st.booleans(), TEXT),
    st.builds(
        lambda value, reply, rules, meta: Score(value, value, reply, tuple(rules), meta),
        st.none() | st.floats(1, 5),
        TEXT,
        st.lists(st.sampled_from([0, 1, 2, None]), max_size=3),
        META,
    ),
    st.builds(
        Clip,
        st.none(),
        TEXT,
        TEXT,
        st.integers(0),
        st.floats(0, 99),
        st.integers(0),
        st.integers(0),
        META,
    ),
)


@given(VALUES)
def test_results_survive_json(value: object) -> None:
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


@given(st.integers(0, 2**40), TEXT, st.integers(0, 999))
def test_seeds_are_in_range_and_repeatable(seed: int, prompt: str, k: int) -> None:
    assert 0 <= item_seed(seed, prompt, k) < SEED_LIMIT
    assert item_seed(seed, prompt, k) == item_seed(seed, prompt, k)


def test_seeds_differ_by_each_of_their_parts() -> None:
    """Golden: SHA-256 of '1:0' + '1:p' + '1:0' (length-prefixed parts), first 8 hex digits."""
    assert item_seed(0, "p", 0) == int(text_digest("0", "p", "0")[:8], 16) % SEED_LIMIT
    found = {item_seed(s, p, k) for s in range(10) for p in "abcdefghij" for k in range(10)}
    assert len(found) == 1000


@given(st.lists(TEXT, min_size=2, max_size=4, unique=True))
def test_digests_keep_parts_apart(parts: list[str]) -> None:
    assert text_digest(*parts) != text_digest("".join(parts))
    assert text_digest(*parts) != text_digest(*parts[::-1])


def test_canonical_json_is_one_text_per_value() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None, "ü"]}) == '{"a":[1.5,null,"ü"],"b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": float("nan")})


def test_the_cache_keeps_units_and_timings(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        assert cache.get("a") is None
        cache.put([("a", Refinement("x"))], {"plugin": (4, 2.0)})
        cache.put([("a", Refinement("y"))], {"plugin": (4, 4.0)})
    with Cache(tmp_path) as cache:
        assert cache.get("a") == Refinement("y")
        assert cache.mean_seconds("plugin") == 0.75
        assert cache.mean_seconds("other") is None


def test_the_cache_forgets_a_clip_whose_file_is_gone(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "clips" / "a.mp4", "0" * 64)
    with Cache(tmp_path) as cache:
        cache.put([("a", clip), ("b", Clip(None, "1" * 64))])
        assert cache.get("a") is None
        clip.path.write_bytes(b"x")
        assert cache.get("a") == clip
        assert cache.get("b") == Clip(None, "1" * 64)


def test_stale_half_written_clips_are_swept(tmp_path: Path) -> None:
    with Cache(tmp_path):
        pass
    folder = tmp_path / "clips" / "tmp"
    folder.mkdir()
    for name, age in (("old.mp4", 2 * 24 * 3600), ("new.mp4", 60)):
        (folder / name).write_bytes(b"x")
        then = time.time() - age
        os.utime(folder / name, (then, then))
    with Cache(tmp_path):
        assert [path.name for path in folder.iterdir()] == ["new.mp4"]


@pytest.mark.parametrize("text", ["=1+1", "+x", "-2+3", "@sum", "\tx", "\rx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert inert(text) == f"'{text}"
    assert csv_text(["a"], [{"a": text}]).splitlines()[1].lstrip('"').startswith("'")


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    assert [inert(value) for value in (-1.5, 0, None, "a=b", "")] == [-1.5, 0, None, "a=b", ""]


def test_markdown_cells_cannot_be_left() -> None:
    assert escape_markdown("a|b\n<script>\\") == "a\\|b &lt;script>\\\\"


COUNTS = {
    "refiner": StageCount(10, 10, 4),
    "generator": StageCount(10, 5, 1, 2),
    "judge": StageCount(20, 3),
}


def test_progress_without_a_terminal_is_one_line() -> None:
    assert line(COUNTS, 12.4) == (
        "12 s · refine 10/10 (4 cached) · generate 5/10 (1 cached, 2 failed) · "
        "judge 3/20 (0 cached)"
    )
    target = io.StringIO()
    with shown(Console(file=target, width=40)) as progress:
        progress(COUNTS)
        assert target.getvalue() == "", "lines come every ten seconds and at the end"
    assert target.getvalue().count("\n") == 1


def test_progress_on_a_terminal_is_one_row_per_stage() -> None:
    target = io.StringIO()
    with shown(Console(file=target, force_terminal=True, width=90)) as progress:
        progress(COUNTS)
    words = target.getvalue()
    for part in ("refine", "generate", "judge", "10/10", "5/10", "3/20", "rate", "left", "done"):
        assert part in words


def test_quiet_progress_says_nothing() -> None:
    target = io.StringIO()
    with shown(Console(file=target), quiet=True) as progress:
        progress(COUNTS)
    assert target.getvalue() == ""


def test_a_hub_set_is_read_with_each_caption_once(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "test.csv").write_text("caption,video\na ball falls,1\na ball falls,2\na cup,3\n")
    found = load_prompts(f"hf:{tmp_path}@test")
    assert [prompt.text for prompt in found.prompts] == ["a ball falls", "a cup"]
