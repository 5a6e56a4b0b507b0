"""What the Python functions return: objects that read what they are asked for."""

from __future__ import annotations

import base64
import html
import mimetypes
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.compare.differences import Comparison, compare_pairs
from phybench.compare.pairing import pair_runs
from phybench.errors import ConfigError, UnknownNameError
from phybench.publish.leaderboard import COLUMNS, leaderboard_row, ordered, percent, rank_text
from phybench.running.clip_table import ScoreTable
from phybench.runs.cells import Run, load_run
from phybench.runs.items import JudgedItem, read_items
from phybench.runs.numbers import MEASURES, CellMetrics, measure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from phybench.publish.report.contents import Clips

_SIMULATED = "Simulated world: the numbers say nothing about real text-to-video models."


class RunResults:
    """A run's numbers, each read from its folder when it is first asked for.

    Args:
        folder: The run's folder.
        cells: Its numbers, where they are known already.
        seconds: How long this start of the run took; NaN if it was only opened.

    Raises:
        ConfigError: If the folder holds no run.
    """

    def __init__(
        self,
        folder: Path,
        cells: tuple[CellMetrics, ...] | None = None,
        seconds: float = float("nan"),
    ) -> None:
        self.folder = folder
        self.seconds = seconds
        self._known = cells
        self.data: Run = load_run(folder)

    @property
    def simulated(self) -> bool:
        """Whether the numbers are of a simulated world."""
        return bool(self.data.header["simulated"])

    @property
    def size(self) -> int:
        """Clips of the matrix: prompts × repeats × refiners × generators."""
        header = self.data.header
        arms = len(header["plugins"]["refiner"]) * len(header["plugins"]["generator"])
        return len(self.data.prompt_ids) * int(header["seeds"]) * arms

    @cached_property
    def cells(self) -> tuple[CellMetrics, ...]:
        """The numbers of every refiner × generator × judge."""
        return self._known or measure(self.data)

    @cached_property
    def _items(self) -> list[JudgedItem]:
        return read_items(self.folder)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """One row per arm and judge, best first, with the columns of ``leaderboard.csv``."""
        from phybench.runs.frames import table_frame

        return table_frame(map(leaderboard_row, ordered(self.cells)), COLUMNS)

    @cached_property
    def items(self) -> pd.DataFrame:
        """One row per prompt, repeat and arm: the refined text, the clip's path, the status."""
        from phybench.runs.frames import items_frame

        return items_frame(self._items)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per item and judge."""
        from phybench.runs.frames import scores_frame

        return scores_frame(self._items)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row per failure, with its stage, kind and message."""
        from phybench.runs.frames import failures_frame

        return failures_frame(self._items)

    def compare(
        self, baseline: str | None = None, *, level: float = 0.95, seed: int = 0
    ) -> ComparedRuns:
        """Compare every arm with a baseline, paired by prompt and seed.

        Args:
            baseline: A refiner (``identity``) or an arm (``identity/cogvideox``); default:
                ``identity``.
            level: Confidence level of the intervals, in 0..1.
            seed: Seed of the bootstrap.

        Raises:
            ConfigError: If nothing can be compared.
        """
        return compare_loaded([self.data], baseline, level, seed)

    def report(
        self,
        target: Path | str | None = None,
        *,
        clips: Clips = "beside",
        baseline: str = "identity",
    ) -> Path:
        """Write one offline page with all clips side by side.

        Args:
            target: The page; default: ``report.html`` in the run's folder.
            clips: Where the clips go: a folder ``beside`` the page, ``embed`` in it, or ``none``.
            baseline: What the arms are compared with.

        Returns:
            The page's path.
        """
        from phybench.publish.report.page import write_report

        page = self.folder / "report.html" if target is None else Path(target)
        write_report(self.data, page, clips=clips, baseline=baseline)
        return page

    def show(self, prompt_id: str) -> ShownPrompt:
        """Texts, clips and scores of one prompt over all arms.

        Raises:
            ConfigError: If the run has no such prompt.
        """
        found = tuple(item for item in self._items if item.prompt_id == prompt_id)
        if not found:
            raise UnknownNameError("prompt id of this run", prompt_id, self.data.prompt_ids)
        return ShownPrompt(prompt_id, found)

    def __repr__(self) -> str:
        rows = [
            f"  {rank_text(cell):>5}  {cell.refiner} × {cell.generator}, {cell.judge}: "
            + ", ".join(f"{name} {percent(cell, name)} %" for name in MEASURES)
            + f", {cell.counts['failed']} failed"
            for cell in ordered(self.cells)
        ]
        world = [f"  {_SIMULATED}"] if self.simulated else []
        return "\n".join([f"Run in {self.folder}: {self.size} items", *world, *rows])

    def _repr_html_(self) -> str:
        """The leaderboard in a notebook."""
        names = ("rank", "refiner", "generator", "judge", *(f"{each} %" for each in MEASURES))
        rows = [
            (
                rank_text(cell),
                cell.refiner,
                cell.generator,
                cell.judge,
                *(percent(cell, name) for name in MEASURES),
                str(cell.counts["failed"]),
            )
            for cell in ordered(self.cells)
        ]
        world = f"<p>{_SIMULATED}</p>" if self.simulated else ""
        return f"{world}{_html_table((*names, 'failed'), rows)}"


@dataclass(frozen=True, slots=True, repr=False)
class ComparedRuns:
    """Arms against their baselines.

    Args:
        comparisons: Measure by measure.
        remarks: What was left out and why, one sentence each.
        simulated: Whether a run is of a simulated world.
        level: Confidence level of the intervals.
    """

    comparisons: tuple[Comparison, ...]
    remarks: tuple[str, ...]
    simulated: bool
    level: float

    @property
    def frame(self) -> pd.DataFrame:
        """One row per arm and measure, with the columns of ``phybench compare --csv``."""
        from phybench.compare.sentences import COLUMNS as DIFFERENCES
        from phybench.compare.sentences import difference_row
        from phybench.runs.frames import table_frame

        return table_frame(map(difference_row, self.comparisons), DIFFERENCES)

    @property
    def sentences(self) -> list[str]:
        """What the comparisons of joint success say, in words."""
        from phybench.compare.sentences import sentence

        return [sentence(each) for each in self.comparisons if each.measure == "joint"]

    def plot(self) -> Figure:
        """Bars of the differences with their intervals, as a Matplotlib figure."""
        from phybench.publish.plots import difference_bars

        found: dict[str, dict[str, Any]] = {}
        for each in self.comparisons:
            if each.measure in MEASURES and each.result.pairs:
                name = f"{each.arm.arm}, {each.arm.cell.judge}"
                found.setdefault(name, {})[each.measure] = each.result
        baselines = dict.fromkeys(each.baseline.cell.refiner for each in self.comparisons)
        return difference_bars(found, " or ".join(baselines))

    def __repr__(self) -> str:
        world = [_SIMULATED] if self.simulated else []
        return "\n".join([*world, *self.sentences, *self.remarks])

    def _repr_html_(self) -> str:
        """The sentences in a notebook."""
        return "".join(f"<p>{html.escape(line)}</p>" for line in repr(self).splitlines())


@dataclass(frozen=True, slots=True, repr=False)
class ShownPrompt:
    """One prompt over all arms of a run.

    Args:
        prompt_id: The prompt's id.
        items: What became of it, per arm and repeat.
    """

    prompt_id: str
    items: tuple[JudgedItem, ...]

    def __repr__(self) -> str:
        lines = [f"{self.prompt_id}: {self.items[0].prompt}"]
        for item in self.items:
            lines += [f"  {item.refiner} × {item.generator}, repeat {item.k}"]
            lines += [f"    {name}: {value}" for name, value in _said(item)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The clips beside their texts and scores, in a notebook."""
        rows = [
            f"<tr><td>{html.escape(f'{item.refiner} × {item.generator}, repeat {item.k}')}</td>"
            f"<td>{_video(item)}</td><td>{_lines(item)}</td></tr>"
            for item in self.items
        ]
        return f"<p>{html.escape(self.items[0].prompt)}</p><table>{''.join(rows)}</table>"


@dataclass(frozen=True, slots=True, repr=False)
class ScoringResults:
    """Clips of a table and what judges said of them.

    Args:
        table: One row per clip and judge.
    """

    table: ScoreTable

    @property
    def frame(self) -> pd.DataFrame:
        """The input's columns plus judge, sa, pc, joint, status and reply."""
        from phybench.runs.frames import table_frame

        return table_frame(self.table.rows, self.table.columns)

    def __repr__(self) -> str:
        return "\n".join(
            f"{judge}: " + ", ".join(f"{count} {status}" for status, count in counts.items())
            for judge, counts in self.table.counts().items()
        )

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        rows = [[str(row.get(name, "")) for name in self.table.columns] for row in self.table.rows]
        return _html_table(self.table.columns, rows)


def compare_loaded(runs: list[Run], baseline: str | None, level: float, seed: int) -> ComparedRuns:
    """Compare the arms of runs that are read already; see :meth:`RunResults.compare`.

    Raises:
        ConfigError: If nothing can be compared, or ``level`` does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"Expected `level` to lie between 0 and 1, but got {level}.")
    pairing = pair_runs(runs, baseline)
    comparisons = compare_pairs(pairing.pairs, level=level, seed=seed)
    left_out = (pair.left_out for pair in pairing.pairs if pair.left_out)
    simulated = any(run.header["simulated"] for run in runs)
    return ComparedRuns(comparisons, (*pairing.refused, *left_out), simulated, level)


def _said(item: JudgedItem) -> list[tuple[str, str]]:
    """Text, clip, failure and scores of an item, named."""
    found = []
    if item.refinement:
        found.append(("text", str(item.refinement["text"])))
    if item.clip:
        found.append(("clip", str(item.clip["path"] or item.clip["source"])))
    if item.error:
        found.append(("failed", f"{item.error['stage']}: {item.error['message']}"))
    return [*found, *((judge, _numbers(score)) for judge, score in item.scores.items())]


def _numbers(score: Any) -> str:
    if score["status"] != "scored":
        return str(score["status"])
    return f"SA {score['sa']:g}, PC {score['pc']:g}, joint {score['joint']}"


def _lines(item: JudgedItem) -> str:
    return "<br>".join(f"{html.escape(name)}: {html.escape(value)}" for name, value in _said(item))


def _video(item: JudgedItem) -> str:
    """The clip inside the page: a notebook may not read files beside it."""
    path = Path(item.clip["path"]) if item.clip and item.clip["path"] else None
    if path is None or not path.is_file():
        return "no clip here"
    kind = mimetypes.guess_type(path.name)[0] or "video/mp4"
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<video controls loop width="240" src="data:{kind};base64,{data}"></video>'


def _html_table(names: Any, rows: Any) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
