"""Options keep working under their old names, with a notice, in one place for all plugins."""

from __future__ import annotations

import pytest

from phybench.errors import ConfigError
from phybench.plugins import options
from phybench.plugins.options import checked_arguments, overlaid
from phybench.plugins.registry import accepts
from phybench.plugins.spec import parse_spec


@pytest.fixture(autouse=True)
def _fresh():
    options._tell_once.cache_clear()


def judge(*, quantisation: str = "none") -> None:
    """A plugin with the new name."""


def test_the_old_name_works_and_says_the_new_one_once(capsys):
    for _ in range(2):
        found = checked_arguments("judge `videophy2`", judge, {"quantize": "4bit"})
        assert found == {"quantisation": "4bit"}
    notice = "Option `quantize` of judge `videophy2` is now called `quantisation`.\n"
    assert capsys.readouterr().err == notice


def test_the_new_name_needs_no_notice(capsys):
    assert checked_arguments("judge `j`", judge, {"quantisation": "4bit"})
    assert capsys.readouterr().err == ""


def test_both_names_at_once_are_refused():
    with pytest.raises(ConfigError, match="`quantisation` of judge `j` once"):
        checked_arguments("judge `j`", judge, {"quantize": "4bit", "quantisation": "4bit"})


def test_a_plugin_that_calls_its_own_option_so_keeps_it(capsys):
    def own(*, quantize: str) -> None:
        """A plugin of someone else."""

    assert checked_arguments("judge `own`", own, {"quantize": "x"}) == {"quantize": "x"}
    assert capsys.readouterr().err == ""


def test_a_given_option_replaces_a_presets_under_either_name():
    assert overlaid({"quantisation": "8bit"}, {"quantize": "4bit"}) == {"quantize": "4bit"}
    assert overlaid({"quantize": "8bit"}, {"quantisation": "4bit"}) == {"quantisation": "4bit"}


@pytest.mark.parametrize("judge_name", ["videocon", "videophy2"])
@pytest.mark.parametrize("option", ["quantize", "quantisation"])
def test_plugins_accept_both_names(judge_name, option):
    assert accepts("judge", parse_spec(judge_name), option)
