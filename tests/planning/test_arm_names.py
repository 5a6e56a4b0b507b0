"""Names of arms and judges, by which results are filed."""

from __future__ import annotations

import pytest

from phybench.errors import ConfigError
from phybench.planning.config import RunConfig, specs
from phybench.planning.plan import build_plan


@pytest.mark.parametrize("name", ["a|b", "a\nb", " ", "a\x07"])
@pytest.mark.parametrize("kind", ["refiners", "generators", "judges"])
def test_a_name_that_would_run_into_another_is_refused(name: str, kind: str) -> None:
    names = {"refiners": "identity", "generators": "tabletop", "judges": "kinematic"}
    asked = {each: specs([{"name": plugin}]) for each, plugin in names.items()}
    asked[kind] = specs([{"name": names[kind], "as": name}])
    with pytest.raises(ConfigError, match=r"to hold no `\|`.*as=NAME"):
        build_plan(RunConfig(**asked, prompts="tabletop-test", limit=1))


def test_other_names_are_fine() -> None:
    asked = specs([{"name": "identity", "as": "prompt (größer) / 7B + x"}])
    plan = build_plan(
        RunConfig(
            refiners=asked,
            generators=specs(["tabletop"]),
            judges=specs(["kinematic"]),
            prompts="tabletop-test",
            limit=1,
        )
    )
    assert plan.refiners[0].info.name == "prompt (größer) / 7B + x"
