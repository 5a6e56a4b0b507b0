"""Which arms can be compared, and which cannot and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phybench.errors import ConfigError
from phybench.machine.files import read_jsonl
from phybench.runs.cells import Cell, Run
from phybench.runs.folder import ITEMS

DEFAULT_BASELINE = "identity"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a cell and the run it is from."""

    run: Run
    cell: Cell

    @property
    def arm(self) -> str:
        """Refiner and generator, as tables show them."""
        return f"{self.cell.refiner} × {self.cell.generator}"

    @property
    def name(self) -> str:
        """The arm and its run, for messages about several runs."""
        return f"{self.arm} of {self.run.folder.name!r}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cells over the same prompts and repeats.

    Args:
        arm: The arm in question, cut to the common items.
        baseline: What it is compared with, likewise.
        left_out: Prompts and repeats that only one side has.
    """

    arm: Side
    baseline: Side
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Pairing:
    """What can be compared and what cannot.

    Args:
        pairs: Comparable pairs, in the order of the runs.
        refused: One sentence for each pair that cannot be compared.
    """

    pairs: tuple[Pair, ...]
    refused: tuple[str, ...]


def pair_runs(runs: Sequence[Run], baseline: str | None = None) -> Pairing:
    """Find every arm's baseline and check that both can be compared.

    Args:
        runs: One run, or several of which the first is the reference.
        baseline: A refiner (``identity``), or an arm (``identity/cogvideox``). Without it one run
            is compared with ``identity``; several runs arm by arm with the first run, or, if they
            share no arm, with ``identity``.

    Raises:
        ConfigError: If nothing can be compared; the message says why and what could be.
    """
    sides = [Side(run, cell) for run in runs for cell in run.cells.values()]
    if baseline is None and len(runs) > 1 and _shared_arms(runs):
        wanted = [(side, _same_arm(side, runs[0])) for side in sides if side.run is not runs[0]]
    else:
        name = baseline or DEFAULT_BASELINE
        wanted = [(side, _baseline_of(side, sides, name)) for side in sides]
    pairs: list[Pair] = []
    refused: list[str] = []
    for side, other in wanted:
        if other is None or other.cell is side.cell:
            continue
        found = _checked(side, other)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            refused.append(found)
    if not pairs:
        raise ConfigError(_nothing(sides, baseline or DEFAULT_BASELINE, refused))
    return Pairing(tuple(pairs), tuple(refused))


def _shared_arms(runs: Sequence[Run]) -> bool:
    return any(name in runs[0].cells for run in runs[1:] for name in run.cells)


def _same_arm(side: Side, reference: Run) -> Side | None:
    cell = reference.cells.get((side.cell.refiner, side.cell.generator, side.cell.judge))
    return Side(reference, cell) if cell else None


def _baseline_of(side: Side, sides: Sequence[Side], name: str) -> Side | None:
    """The baseline in the side's own run, else in the first run that has it."""
    refiner, _, generator = name.partition("/")
    candidates = [
        other
        for other in sides
        if other.cell.judge == side.cell.judge
        and other.cell.refiner == refiner
        and other.cell.generator == (generator or side.cell.generator)
    ]
    own = [other for other in candidates if other.run is side.run]
    return next(iter(own or candidates), None)


def _checked(arm: Side, baseline: Side) -> Pair | str:
    """The pair cut to its common items, or the reason why it is none."""
    if arm.run is baseline.run:
        return Pair(arm, baseline)
    there, here = arm.run.header, baseline.run.header
    subject = f"{arm.name} with {baseline.name}"
    judge = arm.cell.judge
    if _fingerprint(there, judge) != _fingerprint(here, judge):
        return (
            f"Not compared: {subject}, because the two runs' judge `{judge}` differs in its "
            "fingerprint: a difference in scores could be the judge's. Judge both with one judge."
        )
    if there["seed"] != here["seed"]:
        return (
            f"Not compared: {subject}, because the run seeds are {there['seed']} and "
            f"{here['seed']}, so the items are not pairs. Repeat one run with the other's --seed."
        )
    return _aligned(arm, baseline, subject)


def _fingerprint(header: Mapping[str, Any], judge: str) -> str:
    judges = header["plugins"]["judge"]
    return next(str(each["fingerprint_sha256"]) for each in judges if each["name"] == judge)


def _aligned(arm: Side, baseline: Side, subject: str) -> Pair | str:
    if arm.run.header["prompts"]["sha256"] == baseline.run.header["prompts"]["sha256"]:
        common = arm.run.prompt_ids
    else:
        common = _common_prompts(arm.run, baseline.run)
    if not common:
        return f"Not compared: {subject}, because they have no prompt in common."
    repeats = min(arm.cell.status.shape[1], baseline.cell.status.shape[1])
    sizes = [side.cell.status.size for side in (arm, baseline)]
    kept = len(common) * repeats
    note = f"{subject}: compared on {kept} common items of {sizes[0]} and {sizes[1]}."
    return Pair(
        _cut(arm, common, repeats),
        _cut(baseline, common, repeats),
        left_out="" if set(sizes) == {kept} else note,
    )


def _common_prompts(first: Run, second: Run) -> tuple[str, ...]:
    """Ids that mean the same text in both runs, in the first run's order."""
    texts, others = _texts(first), _texts(second)
    return tuple(
        name for name in first.prompt_ids if name in texts and texts[name] == others.get(name)
    )


def _texts(run: Run) -> dict[str, str]:
    return {row["prompt_id"]: row["prompt"] for row in read_jsonl(run.folder / ITEMS)}


def _cut(side: Side, prompts: Sequence[str], repeats: int) -> Side:
    places = {name: number for number, name in enumerate(side.run.prompt_ids)}
    at = np.ix_([places[name] for name in prompts], range(repeats))
    cell = side.cell
    return replace(
        side,
        cell=replace(cell, status=cell.status[at], sa=cell.sa[at], pc=cell.pc[at]),
    )


def _nothing(sides: Sequence[Side], baseline: str, refused: Sequence[str]) -> str:
    if refused:
        return "\n".join(refused)
    refiners = sorted({side.cell.refiner for side in sides})
    arms = sorted({f"{side.cell.refiner}/{side.cell.generator}" for side in sides})
    if refiners == [baseline] or arms == [baseline]:
        return f"There is no arm to compare with the baseline `{baseline}`: it is the only one."
    return (
        f"Expected an arm to compare with the baseline `{baseline}`, but the runs have only the "
        f"arms {', '.join(arms)}. Name another baseline: --baseline {refiners[0]}, or an arm: "
        f"--baseline {arms[0]}"
    )
