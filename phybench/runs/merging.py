"""Several runs as one table, where that is honest."""

from __future__ import annotations

from collections.abc import Sequence

from phybench.errors import ConfigError
from phybench.runs.cells import Cell, Run

_SAME = ("seeds", "seed", "settings")


def merge_runs(runs: Sequence[Run]) -> Run:
    """Put the arms of several runs into one.

    Raises:
        ConfigError: If the runs differ in prompts, seeds, settings or in what a judge's name
            stands for, if an arm occurs twice, or if real and simulated arms would be mixed.
    """
    if not runs:
        raise ConfigError("Expected at least one run, but got none.")
    first = runs[0]
    cells: dict[tuple[str, str, str], Cell] = {}
    signatures: dict[str, str] = {}
    for run in runs:
        _check_same(first, run)
        for name, cell in run.cells.items():
            if name in cells:
                raise ConfigError(
                    f"Expected every arm once, but {' × '.join(name)} is in several runs. "
                    "Leave one out."
                )
            cells[name] = cell
        signatures |= run.header["signatures"]
    header = {**first.header, "signatures": signatures}
    return Run(first.folder, header, first.prompt_ids, cells)


def _check_same(first: Run, other: Run) -> None:
    where = f"{str(first.folder)!r} and {str(other.folder)!r}"
    if first.header["prompts"]["sha256"] != other.header["prompts"]["sha256"]:
        raise ConfigError(f"Expected runs on the same prompts, but {where} have different ones.")
    for key in _SAME:
        if first.header[key] != other.header[key]:
            raise ConfigError(
                f"Expected runs with the same {key}, but {where} have {first.header[key]} and "
                f"{other.header[key]}."
            )
    if first.header["simulated"] != other.header["simulated"]:
        raise ConfigError(f"Simulated and real arms do not belong in one table: {where}.")
    theirs = {judge["name"]: judge["fingerprint_sha256"] for judge in _judges(other)}
    for judge in _judges(first):
        if theirs.get(judge["name"], judge["fingerprint_sha256"]) != judge["fingerprint_sha256"]:
            raise ConfigError(
                f"Judge `{judge['name']}` is not the same in {where}: other weights, settings or "
                "version. Their numbers cannot be compared; judge the clips of one run again."
            )


def _judges(run: Run) -> list[dict[str, str]]:
    judges: list[dict[str, str]] = run.header["plugins"]["judge"]
    return judges
