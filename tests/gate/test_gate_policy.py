"""A baseline whose policy was edited into nonsense is refused by the policy's own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools.places import ROOT

from phybench.errors import ConfigError
from phybench.gate.baseline import read_baseline


def test_a_margin_out_of_range_is_named(tmp_path: Path) -> None:
    data = json.loads((ROOT / "results" / "baselines" / "tabletop.json").read_text())
    data["policy"]["margin"] = 5
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"^Expected `margin` to lie between 0 and 1, but got 5"):
        read_baseline(path)
