"""``phybench calibrate``: a judge against human labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import emit_json, note
from phybench.cli.options import CacheFolder

if TYPE_CHECKING:
    from phybench.calibrate.scores import LabelledScores


def calibrate(
    judge: Annotated[
        str, typer.Option("-j", "--judge", help="Judge SPEC; with --run the judge's name there.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="Table of clips with videopath, caption, sa, pc and maybe model."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that relative clip paths start from.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A run with two judges, one standing for people.")
    ] = None,
    human: Annotated[str, typer.Option(help="With --run: who stands for people.")] = "labels",
    cache: CacheFolder = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the page (Markdown) here.")
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Say how far a judge agrees with people, and correct its rates by their labels."""
    from phybench.calibrate.page import calibrate_judge as compute
    from phybench.calibrate.page import calibration_json, calibration_markdown
    from phybench.errors import ConfigError
    from phybench.machine.files import write_text

    if (labels is None) == (run is None):
        raise ConfigError("Expected either --labels TABLE or --run RUN.")
    if not 0 < level < 1:
        raise ConfigError(f"Expected `level` to lie between 0 and 1, but got {level}.")
    if run is not None:
        from phybench.calibrate.scores import from_run
        from phybench.runs.cells import load_run

        data = from_run(load_run(run), judge, human)
    else:
        data = _scored(judge, labels or Path(), root, cache)
    found = compute(data, level=level, seed=seed)
    page = calibration_markdown(found)
    if output is not None:
        write_text(output, page)
    if as_json:
        emit_json(calibration_json(found))
    elif output is None:
        typer.echo(page)
    else:
        note(f"Written: {output}")


def _scored(judge: str, labels: Path, root: Path | None, cache: Path | None) -> LabelledScores:
    """Judge the labelled clips; known scores come from the cache."""
    from phybench.calibrate.scores import LabelledScores, human_labels, judge_scores, names_in
    from phybench.machine.folders import default_folder
    from phybench.plugins.spec import parse_spec
    from phybench.running.clip_table import load_clips, score_clips
    from phybench.units.cache import Cache
    from phybench.workers.opening import open_plugin

    table = load_clips(labels, root)
    if table.remark:
        note(table.remark)
    people = human_labels(table.rows, labels)
    prompts, generators = names_in(table.rows, labels)
    info = open_plugin("judge", parse_spec(judge)).info
    with Cache(cache or default_folder()) as units:
        scored = score_clips(table, [judge], units, lambda *_: None)
    scores = judge_scores(info.name, info.scale, scored.rows)
    return LabelledScores(scores, people, tuple(prompts), tuple(generators))
