from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.harness import phybench

from phybench import ConfigError, Prompt
from phybench.prompts.prompt_sets import MAX_CHARACTERS, bundled_sets, group_columns, load_prompts

TEXTS = st.lists(
    st.text(
        st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"),
        min_size=1,
        max_size=60,
    ).filter(str.strip),
    min_size=1,
    max_size=8,
    unique=True,
)


def texts(path: Path) -> list[str]:
    return [prompt.text for prompt in load_prompts(str(path)).prompts]


@given(TEXTS)
def test_csv_and_jsonl_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerows([["prompt"], *([text] for text in wanted)])
    (folder / "a.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
    lines = (json.dumps({"prompt": text}) for text in wanted)
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert texts(folder / "a.csv") == wanted
    assert texts(folder / "a.jsonl") == wanted


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"\xef\xbb\xbfcaption,action\r\nA ball falls.,fall\r\nA cup tips.,tip\r\n"),
        ("a.tsv", b"text\taction\nA ball falls.\tfall\nA cup tips.\ttip\n"),
        ("a.txt", b"\xef\xbb\xbfA ball falls.\r\n\r\nA cup tips.\r\n"),
    ],
)
def test_byte_order_marks_and_line_endings_do_not_matter(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert texts(path) == ["A ball falls.", "A cup tips."]


def test_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"caption": ["A ball falls.", "Tea"]}), path)
    assert texts(path) == ["A ball falls.", "Tea"]
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"Cannot read 'b\.parquet'"):
        load_prompts(str(tmp_path / "b.parquet"))


def test_further_columns_are_kept_and_ids_are_used(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 7, "prompt": "x", "law": "gravity"}\n')
    (prompt,) = load_prompts(str(path)).prompts
    assert (prompt.id, dict(prompt.meta)) == ("7", {"law": "gravity"})


def test_the_digest_depends_on_texts_and_order(tmp_path: Path) -> None:
    digests = set()
    for number, lines in enumerate(("a\nb", "b\na", "a\nc", "a")):
        path = tmp_path / f"{number}.txt"
        path.write_text(lines)
        digests.add(load_prompts(str(path)).sha256)
    assert len(digests) == 4
    two = load_prompts(str(tmp_path / "0.txt"), limit=1)
    assert two.sha256 == load_prompts(str(tmp_path / "3.txt")).sha256


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"title,action\nx,y\n", "`prompt`, `caption`, `text` in"),
        ("a.csv", b"prompt\nx\n\n''\n\" \"\n", "it is empty"),
        ("a.csv", b"prompt,b\n,y\n", "row 1"),
        ("a.csv", b"prompt\nx\ny\nx\n", "rows 1 and 3 have the same text: 'x'"),
        ("a.csv", b"id,prompt\n1,x\n1,y\n", "rows 1 and 2 have the same id: '1'"),
        ("a.csv", b"prompt\nx,y\n", "Put quotes around"),
        ("a.csv", b'prompt\n"x', "Cannot read"),
        ("a.csv", b"prompt\n\xff\xfe\n", "Cannot read"),
        pytest.param("a.csv", b"prompt\n" + b"x" * 10_000_000, "Cannot read", id="10-MB-cell"),
        pytest.param(
            "a.csv", b"prompt\n" + b"word " * 5_000, f"at most {MAX_CHARACTERS}", id="5000-words"
        ),
        ("a.csv", b"", "it is empty"),
        ("a.txt", b"\n\n", "it is empty"),
        ("a.txt", b"a bell\x07 rings\n", "control characters"),
        ("a.txt", b"null\x00\n", "control characters"),
        ("a.jsonl", b'{"prompt": null}\n', "the cell is missing"),
        ("a.jsonl", b'{"prompt": NaN}\n', "the cell is missing"),
        ("a.jsonl", b'{"prompt": "\\ud800"}\n', "control characters"),
        ("a.jsonl", b'["x"]\n', "object in line 1"),
        ("a.jsonl", b"{", "Cannot read"),
        ("a.json", b"{}", "ends in one of"),
    ],
)
def test_bad_files_are_refused_with_the_reason(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        load_prompts(str(path))
    assert words in str(error.value)


def test_an_unknown_set_gets_suggestions() -> None:
    with pytest.raises(ConfigError, match="Did you mean `tabletop-test`"):
        load_prompts("tabletop-tset")
    with pytest.raises(ConfigError, match="there is none"):
        load_prompts("folder/absent.csv")
    with pytest.raises(ConfigError, match="`limit` to be ≥ 1, but got 0"):
        load_prompts("tabletop-test", 0)


def test_the_bundled_sets_load() -> None:
    assert set(bundled_sets()) == {"tabletop-test", "tabletop-train"}
    assert len(load_prompts("tabletop-test").prompts) >= 500
    assert len(load_prompts("tabletop-test", 3).prompts) == 3


ODD = [
    '=HYPERLINK("http://x","y")',
    "../../../etc/passwd rolls down a hill",
    "a ball\nfalls\nin three lines",
    "🏀 bounces on the 桌子 — لعبة",
    "; rm -rf / && echo $HOME `id` | $(id)",
    "<script>alert(1)</script> falls & bounces",
    "%s %n {0} {prompt} \\ ' \" ,;\t|",
]


def test_odd_prompts_run_like_any_other(examples: Path) -> None:
    with Path("odd.jsonl").open("w") as file:
        file.writelines(json.dumps({"prompt": text}) + "\n" for text in ODD)
    done = phybench(
        *("run", "-r", "identity", "-g", "bar", "-j", "brightness", "-p", "odd.jsonl"),
        *("-o", "out", "--executor", "serial", "--no-plots", "--seeds", "1", "--quiet"),
    )
    assert done.returncode == 0, done.stderr
    items = [json.loads(line) for line in Path("out/items.jsonl").read_text().splitlines()]
    assert [item["prompt"] for item in items] == ODD
    written = {path.name for path in examples.rglob("*") if path.is_file()}
    assert not any("passwd" in name or "ball" in name or "rm" in name for name in written)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_bad_input_ends_with_code_2_before_any_work(examples: Path, command: str) -> None:
    Path("bad.csv").write_text("prompt\nx\nx\n")
    done = phybench(command, "-g", "bar", "-j", "brightness", "-r", "identity", "-p", "bad.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Expected every prompt once")
    assert not (examples / "results").exists()
    assert not list((examples / "cache").rglob("*.mp4"))


def test_columns_that_group_prompts_are_found() -> None:
    rows = [
        ("archery", "yes", "a" * 61, "x", "1"),
        ("archery", "", "b", "x", "2"),
        ("", "no", "b", "x", "3"),
    ]
    names = ("action", "hard", "long", "constant", "number")
    prompts = [
        Prompt(str(n), f"p{n}", dict(zip(names, row, strict=True))) for n, row in enumerate(rows)
    ]
    # `action` has one value and `hard` two different ones; nothing groups yet.
    assert group_columns(prompts) == {}
    more = [*prompts, Prompt("3", "p3", {"action": "sailing", "hard": "no"})]
    assert group_columns(more) == {
        "action": ["archery", "archery", "", "sailing"],
        "hard": ["yes", "", "no", "no"],
    }
    assert group_columns([]) == {}


def test_a_bundled_set_is_grouped_by_its_families() -> None:
    groups = group_columns(load_prompts("tabletop-test").prompts)
    assert set(groups) == {"family", "stated", "held_out"}
    assert "pour" in groups["family"]
