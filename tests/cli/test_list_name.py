"""``phybench list NAME`` describes every plugin and preset, and every option of them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from phybench.cli.main import app
from phybench.errors import ConfigError
from phybench.plugins.describe import describe_plugins
from phybench.plugins.opened import KINDS
from phybench.plugins.registry import names


@pytest.mark.parametrize("name", sorted({name for kind in KINDS for name in names(kind)}))
def test_every_plugin_and_every_option_is_described(name):
    for plugin in describe_plugins(name):
        assert plugin.text
        undocumented = [option.name for option in plugin.options if not option.text]
        assert not undocumented
        assert all(option.type for option in plugin.options)


def test_the_page_says_type_default_and_meaning():
    page = CliRunner().invoke(app, ["list", "videophy2"]).output
    assert page.startswith("judge videophy2")
    assert "quantisation: 'none' | '8bit' | '4bit', default 'none'" in page
    assert "batch: int (ge=1) | None, default None" in page
    assert "Clips per forward pass" in page


def test_a_preset_says_its_plugin_and_what_it_sets():
    (found,) = json.loads(CliRunner().invoke(app, ["list", "phyprompt-mini", "--json"]).output)
    assert found["plugin"] == "phyprompt"
    assert found["preset"]["tries"] == 4


def test_an_unknown_name_gets_suggestions():
    with pytest.raises(ConfigError, match="Did you mean `videophy2`"):
        describe_plugins("videophy3")
