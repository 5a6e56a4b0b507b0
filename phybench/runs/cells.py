"""A run read back: per cell, arrays over prompts and repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phybench.errors import ConfigError
from phybench.machine.files import read_json, read_jsonl
from phybench.plugins.contracts import Scale
from phybench.runs.folder import ITEMS, RUN, SCHEMA_VERSION, SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Status(IntEnum):
    """What became of one planned judgement."""

    OPEN = 0
    SCORED = 1
    UNSCORED = 2
    FAILED = 3


_STATUS = {"scored": Status.SCORED, "unscored": Status.UNSCORED, "failed": Status.FAILED}


@dataclass(frozen=True, slots=True)
class Cell:
    """One judge's scores of one arm.

    Args:
        refiner: Name of the refiner.
        generator: Name of the generator.
        judge: Name of the judge.
        scale: How the judge's numbers read.
        status: Array of shape (prompts, repeats) of :class:`Status` values.
        sa: Array of the same shape, NaN where not scored.
        pc: Likewise.
    """

    refiner: str
    generator: str
    judge: str
    scale: Scale
    status: NDArray[np.uint8]
    sa: NDArray[np.float64]
    pc: NDArray[np.float64]

    def success(self, measure: str) -> NDArray[np.float64]:
        """Success as 1 and 0, NaN where not scored.

        Args:
            measure: ``sa``, ``pc`` or ``joint``.
        """
        bar = self.scale.success
        passed = {
            "sa": self.sa >= bar,
            "pc": self.pc >= bar,
            "joint": (self.sa >= bar) & (self.pc >= bar),
        }[measure]
        return np.where(self.status == Status.SCORED, passed.astype(np.float64), np.nan)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's header and cells.

    Args:
        folder: The run's folder.
        header: What ``run.json`` says.
        prompt_ids: Prompts in order; the first axis of every cell.
        cells: By (refiner, generator, judge), in the run's order.
    """

    folder: Path
    header: Mapping[str, Any]
    prompt_ids: tuple[str, ...]
    cells: Mapping[tuple[str, str, str], Cell]


@dataclass(slots=True)
class _State:
    """Arrays over items and judges while the rows are read."""

    clip: NDArray[np.uint64]
    item_status: NDArray[np.uint8]
    retryable: NDArray[np.bool_]
    status: NDArray[np.uint8]
    score_retryable: NDArray[np.bool_]
    sa: NDArray[np.float64]
    pc: NDArray[np.float64]


def load_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        ConfigError: If the folder holds no run, or one of another schema.
    """
    header = read_header(folder)
    state = _read_state(folder, header)
    plugins = header["plugins"]
    ids = tuple(header["prompts"]["ids"])
    shape = (len(ids), header["seeds"], len(plugins["refiner"]), len(plugins["generator"]))
    cells = {}
    for j, judge in enumerate(plugins["judge"]):
        status, sa, pc = (part[j].reshape(shape) for part in (state.status, state.sa, state.pc))
        for r, refiner in enumerate(plugins["refiner"]):
            for g, generator in enumerate(plugins["generator"]):
                name = (refiner["name"], generator["name"], judge["name"])
                at = (slice(None), slice(None), r, g)
                cells[name] = Cell(*name, Scale(**judge["scale"]), status[at], sa[at], pc[at])
    return Run(folder, header, ids, cells)


def read_header(folder: Path) -> dict[str, Any]:
    """Read and check ``run.json``.

    Raises:
        ConfigError: If there is none, or its schema is another one.
    """
    if not (folder / RUN).is_file():
        raise ConfigError(f"Expected a run in {str(folder)!r}, but it has no {RUN}.")
    header = read_json(folder / RUN)
    if header.get("schema_version") != SCHEMA_VERSION:
        raise ConfigError(
            f"Expected schema version {SCHEMA_VERSION} in {str(folder / RUN)!r}, "
            f"but got {header.get('schema_version')!r}."
        )
    return header


def finished_items(folder: Path, header: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which items need no more work: judged by every judge, or failed for good."""
    state = _read_state(folder, header)
    judged = (state.status != Status.OPEN) & ~state.score_retryable
    lost = (state.item_status == Status.FAILED) & ~state.retryable
    done: NDArray[np.bool_] = lost | ((state.item_status == Status.SCORED) & judged.all(axis=0))
    return done


def failure_reasons(folder: Path, most: int) -> list[tuple[str, int]]:
    """The most frequent failures that a run recorded, as stage, kind and message, with counts."""
    last: dict[tuple[int, str], Any] = {}
    for name in (ITEMS, SCORES):
        for row in read_jsonl(folder / name):
            last[row["index"], row.get("judge", "")] = row.get("error")
    reasons = Counter(
        f"{error['stage']}: {error['kind']}: {error['message']}" for error in last.values() if error
    )
    return reasons.most_common(most)


def _read_state(folder: Path, header: Mapping[str, Any]) -> _State:
    plugins = header["plugins"]
    items = (
        len(header["prompts"]["ids"])
        * header["seeds"]
        * len(plugins["refiner"])
        * len(plugins["generator"])
    )
    judges = {judge["name"]: number for number, judge in enumerate(plugins["judge"])}
    shape = (len(judges), items)
    state = _State(
        clip=np.zeros(items, np.uint64),
        item_status=np.zeros(items, np.uint8),
        retryable=np.zeros(items, np.bool_),
        status=np.zeros(shape, np.uint8),
        score_retryable=np.zeros(shape, np.bool_),
        sa=np.full(shape, np.nan),
        pc=np.full(shape, np.nan),
    )
    for row in _rows(folder / ITEMS, items):
        _take_item(state, row)
    for row in _rows(folder / SCORES, items):
        _take_score(state, row, judges[row["judge"]])
    failed = (state.item_status == Status.FAILED) & (state.status == Status.OPEN)
    state.status[failed] = Status.FAILED
    return state


def _rows(path: Path, items: int) -> Iterator[dict[str, Any]]:
    for row in read_jsonl(path):
        if not 0 <= row["index"] < items:
            raise ConfigError(
                f"Expected `index` below {items} in {str(path)!r}, but got {row['index']}."
            )
        yield row


def _take_item(state: _State, row: Mapping[str, Any]) -> None:
    index = row["index"]
    if row["status"] == "ok":
        state.item_status[index] = Status.SCORED
        state.clip[index] = _short(row["clip"]["sha256"])
    else:
        state.item_status[index] = Status.FAILED
        state.retryable[index] = row["error"]["retryable"]


def _take_score(state: _State, row: Mapping[str, Any], judge: int) -> None:
    """A score counts only for the clip that the item has now."""
    index = row["index"]
    if state.item_status[index] != Status.SCORED or _short(row["clip"]) != state.clip[index]:
        return
    state.status[judge, index] = _STATUS[row["status"]]
    state.score_retryable[judge, index] = "error" in row and row["error"]["retryable"]
    scored = row["status"] == "scored"
    state.sa[judge, index] = row["sa"] if scored else np.nan
    state.pc[judge, index] = row["pc"] if scored else np.nan


def _short(sha256: str) -> int:
    return int(sha256[:16], 16)
