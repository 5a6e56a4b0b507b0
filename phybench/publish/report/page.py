"""Rendering the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phybench.machine.files import write_text
from phybench.publish.leaderboard import ordered, percent, rank_text
from phybench.publish.report.contents import Clips, browsable, comparisons, plot_images
from phybench.runs.cells import Run
from phybench.runs.numbers import measure


def write_report(
    run: Run, target: Path, *, clips: Clips = "beside", baseline: str = "identity"
) -> None:
    """Write a run's report.

    Args:
        run: The run.
        target: The page's path.
        clips: Where the clips go: a folder ``beside`` the page, ``embed`` in it, or ``none``.
        baseline: Refiner or arm that the others are compared with.

    Raises:
        StorageError: If the disk refuses a write.
    """
    write_text(target, render_page(run, target, clips=clips, baseline=baseline))


def render_page(run: Run, target: Path, *, clips: Clips, baseline: str) -> str:
    """The page as text; the clips beside it are written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("phybench.publish.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows, reason = comparisons(run, baseline)
    cells = ordered(measure(run))
    return environment.get_template("report.html.j2").render(
        name=run.folder.name,
        simulated=bool(run.header["simulated"]),
        prompts=run.header["prompts"]["name"],
        cells=[
            {
                "rank": rank_text(cell),
                "refiner": cell.refiner,
                "generator": cell.generator,
                "judge": cell.judge,
                "rates": [percent(cell, name) for name in ("sa", "pc", "joint")],
                "counts": cell.counts,
                "signature": cell.signature,
            }
            for cell in cells
        ],
        comparisons=rows,
        no_comparison=reason,
        plots=plot_images(run.folder),
        data=inert_json(browsable(run, clips, target) | {"baseline": baseline}),
    )


def inert_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
