from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phybench.errors import ConfigError
from phybench.plugins.spec import PluginSpec, parse_spec

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True)
PLAIN = st.from_regex(r"[A-Za-z0-9_./*:-]{1,20}", fullmatch=True)
KEYS = NAMES.filter(lambda key: key not in {"as", "python", "workers"})


@given(NAMES, st.dictionaries(KEYS, PLAIN, max_size=4))
def test_a_spec_reads_back_as_it_was_written(name: str, options: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in options.items())
    spec = parse_spec(f"{name}:{text}" if text else name)
    assert spec == PluginSpec(name, options)


@given(NAMES, KEYS, st.dictionaries(KEYS, PLAIN, min_size=1, max_size=4))
def test_brackets_keep_a_nested_spec_whole(name: str, key: str, inner: dict[str, str]) -> None:
    nested = "judge:" + ",".join(f"{k}={v}" for k, v in inner.items())
    assert parse_spec(f"{name}:{key}=[{nested}],z9=1").options == {key: nested, "z9": "1"}


@given(st.text(max_size=40))
def test_any_text_is_a_spec_or_a_clear_error(text: str) -> None:
    try:
        assert parse_spec(text).name
    except ConfigError as error:
        assert "Expected" in str(error)


def test_the_harness_keeps_its_own_options() -> None:
    spec = parse_spec("cogvideox:as=mine,python=/opt/py,workers=3,gpus=0.5,steps=25")
    assert spec == PluginSpec("cogvideox", {"steps": "25"}, "mine", "/opt/py", 3, 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got ''"),
        ("a:b", "got 'b'"),
        ("a:b=1,", "at the end"),
        ("a:b=1,b=2", "`b` once"),
        ("a:b=[1", "closing `]`"),
        ("a:workers=0", "`workers`"),
        ("a:workers=two", "'two'"),
        ("a:gpus=0", "`gpus`"),
        ("a:gpus=1.5", "'1.5'"),
        ("a:gpus=nan", "'nan'"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="Expected") as error:
        parse_spec(text)
    assert words in str(error.value)
