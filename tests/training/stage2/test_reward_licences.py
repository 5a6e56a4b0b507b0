"""Whose clips and scores may be trained on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tools.training.reward_bench import Painter, opened

from phybench.errors import ConfigError
from phybench.plugins.contracts import (
    PluginInfo,
)
from phybench.plugins.spec import parse_spec
from phybench.training.recipe.licences import check_licences
from phybench.workers.opening import open_plugin


class Carded(Painter):
    def __init__(self, view, licence="Apache-2.0"):
        super().__init__()
        self.card = SimpleNamespace(training_on_outputs=view)
        self.info = PluginInfo(name="carded", revision="1", licence=licence, fingerprint={})


def test_a_licence_that_forbids_training_is_refused_unless_overridden():
    part = opened("generator", Carded("forbidden", "Tencent Hunyuan Community"))
    with pytest.raises(ConfigError, match="Tencent Hunyuan Community"):
        check_licences([part], override=False)
    assert "forbidden" in check_licences([part], override=True)[0]
    assert "unknown" in check_licences([opened("generator", Carded("unknown"))], override=False)[0]
    assert check_licences([opened("generator", Carded("allowed"))], override=False) == []


def test_the_truth_is_never_trained_on():
    oracle = open_plugin("judge", parse_spec("oracle"))
    with pytest.raises(ConfigError, match=r"reward\.holdout"):
        check_licences([oracle], override=True)


def test_hunyuan_clips_are_refused_by_name_of_the_licence_alone():
    painter = Painter()
    painter.info = PluginInfo(
        name="remote", revision="1", licence="Tencent Hunyuan Community", fingerprint={}
    )
    with pytest.raises(ConfigError, match="forbids"):
        check_licences([opened("generator", painter)], override=False)
