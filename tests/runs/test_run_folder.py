from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench import ConfigError
from phybench.machine.files import read_json, read_jsonl, write_text
from phybench.runs.folder import ITEMS, RunWriter

ROWS = st.lists(
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(st.text(max_size=20), st.integers(), st.floats(allow_nan=False), st.none()),
        max_size=4,
    ),
    max_size=6,
)


@given(ROWS, ROWS)
def test_rows_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, first: list, second: list
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for rows in (first, second):
        with RunWriter(folder) as writer:
            writer.append(ITEMS, rows)
            writer.sync()
    assert list(read_jsonl(folder / ITEMS)) == first + second


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.data())
def test_a_file_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with RunWriter(folder) as writer:
        writer.append(ITEMS, [{"text": text} for text in texts])
    whole = (folder / ITEMS).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (folder / ITEMS).write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert [row["text"] for row in read_jsonl(folder / ITEMS)] == texts[:kept]
    with RunWriter(folder) as writer:
        writer.append(ITEMS, [{"text": "next"}])
    assert [row["text"] for row in read_jsonl(folder / ITEMS)] == [*texts[:kept], "next"]


def test_a_long_torn_line_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / ITEMS).write_bytes(b'{"a": 1}\n' + b"x" * 200_000)
    with RunWriter(tmp_path):
        pass
    assert (tmp_path / ITEMS).read_bytes() == b'{"a": 1}\n'


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    (tmp_path / ITEMS).write_bytes(b'{"a": 1}\n{"a"\n{"a": 3}\n')
    with pytest.raises(ConfigError, match="line 2"):
        list(read_jsonl(tmp_path / ITEMS))


def test_whole_files_are_there_complete_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_text(path, "{}")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert path.read_text() == "{}"
    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_broken_json_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json"):
        read_json(tmp_path / "run.json")


def test_the_lock_names_its_holder_and_is_free_again(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path),
        pytest.raises(ConfigError, match="is being written by process"),
    ):
        RunWriter(tmp_path)
    with RunWriter(tmp_path) as writer:
        writer.write_json("run.json", {"a": "ü"})
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": "ü"}
