"""One line that says what made a number (the idea is sacreBLEU's)."""

from __future__ import annotations

from phybench.planning.plan import Plan
from phybench.plugins.contracts import VideoSettings
from phybench.plugins.opened import Opened
from phybench.units.keys import fingerprint, instrument
from phybench.version import __version__


def signatures(plan: Plan) -> dict[str, str]:
    """The signature of every cell, by ``refiner|generator|judge``."""
    return {
        "|".join(one.info.name for one in cell): _signature(plan, *cell)
        for cell in (
            (refiner, generator, judge)
            for judge in plan.judges
            for refiner in plan.refiners
            for generator in plan.generators
        )
    }


def _signature(plan: Plan, refiner: Opened, generator: Opened, judge: Opened) -> str:
    settings = [
        f"{name}:{value:g}"
        for name in VideoSettings.__slots__
        if (value := getattr(plan.settings, name)) is not None
    ]
    parts = [
        f"refiner:{_named(refiner, fingerprint(refiner))}",
        f"gen:{_named(generator, fingerprint(generator))}",
        f"judge:{_named(judge, instrument(judge, plan.view))}",
        f"prompts:{plan.prompts.name}#{plan.prompts.sha256[:8]}",
        f"n:{len(plan.prompts.prompts)}",
        f"seeds:{plan.seeds}",
        f"seed:{plan.seed}",
        *settings,
        *([f"view:{plan.view}"] if plan.view else []),
        *(["over-budget:retried"] if plan.retry_over_budget else []),
        *(["simulated"] if plan.simulated else []),
        f"v:{__version__}",
    ]
    return "|".join(parts)


def _named(opened: Opened, digest: str) -> str:
    return f"{opened.info.name}@{opened.info.revision}#{digest[:8]}"
