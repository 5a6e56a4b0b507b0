"""What a person sees while a run goes on: one row per stage, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from phybench.plugins.opened import Kind
from phybench.running.pipeline import Progress, StageCount

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STAGES: Mapping[Kind, str] = {
    "refiner": "refine",
    "generator": "generate",
    "view": "view",
    "judge": "judge",
}
_LINE_EVERY_S = 10.0
_REDRAW_EVERY_S = 0.1


@contextmanager
def shown(console: Console, *, quiet: bool = False) -> Iterator[Progress]:
    """Show progress on a console (stderr).

    Args:
        console: Where to show it; a terminal gets a live table, anything else a line every ten
            seconds and one at the end.
        quiet: Show nothing.
    """
    if quiet:
        yield lambda counts: None
    elif console.is_terminal:
        yield from _live(console)
    else:
        yield from _lines(console)


def _live(console: Console) -> Iterator[Progress]:
    from rich.live import Live

    started = time.monotonic()
    with Live(console=console, auto_refresh=False) as live:

        def draw(counts: Mapping[Kind, StageCount]) -> None:
            live.update(progress_table(counts, time.monotonic() - started), refresh=True)

        yield from _paced(draw, _REDRAW_EVERY_S)


def _lines(console: Console) -> Iterator[Progress]:
    started = time.monotonic()

    def show(counts: Mapping[Kind, StageCount]) -> None:
        console.print(line(counts, time.monotonic() - started), highlight=False, soft_wrap=True)

    yield from _paced(show, _LINE_EVERY_S)


def _paced(show: Progress, seconds: float) -> Iterator[Progress]:
    """Show every so many seconds, and the latest counts once more at the end."""
    latest: Mapping[Kind, StageCount] | None = None
    due = time.monotonic() + seconds

    def progress(counts: Mapping[Kind, StageCount]) -> None:
        nonlocal latest, due
        latest = counts
        if time.monotonic() >= due:
            show(counts)
            due = time.monotonic() + seconds

    try:
        yield progress
    finally:
        if latest is not None:
            show(latest)


def line(counts: Mapping[Kind, StageCount], elapsed_s: float) -> str:
    """All stages in one line of text."""
    parts = [f"{elapsed_s:.0f} s"]
    for kind, count in counts.items():
        failed = f", {count.failed} failed" if count.failed else ""
        parts.append(f"{_STAGES[kind]} {count.done}/{count.total} ({count.cached} cached{failed})")
    return " · ".join(parts)


def progress_table(counts: Mapping[Kind, StageCount], elapsed_s: float) -> Table:
    """One row per stage: done/total, cached, failed, rate and time left."""
    from rich.table import Table

    found = Table(box=None, pad_edge=False)
    found.add_column("stage")
    for column in ("done", "cached", "failed", "rate", "left"):
        found.add_column(column, justify="right", min_width=8)
    for kind, count in counts.items():
        found.add_row(_STAGES[kind], *_cells(count, elapsed_s))
    return found


def _cells(count: StageCount, elapsed_s: float) -> tuple[str, ...]:
    made = count.done - count.cached
    rate = made / elapsed_s if elapsed_s > 0 else 0.0
    open_units = count.total - count.done
    if not open_units:
        left = "done"
    elif rate:
        left = _duration(open_units / rate)
    else:
        left = "–"
    failed = f"[red]{count.failed}[/red]" if count.failed else "0"
    return f"{count.done}/{count.total}", str(count.cached), failed, f"{rate:.1f}/s", left


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
