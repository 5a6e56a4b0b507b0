"""Refinements from a file: recorded by an earlier run, published, or written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest
from phybench.machine.files import read_jsonl
from phybench.plugins.contracts import Failure, PluginInfo, Refinement
from phybench.prompts.prompt_sets import check_text
from phybench.prompts.tables import cell, column, read_table
from phybench.runs.folder import ITEMS

_REFINED = ("refined", "refinement", "refined_prompt", "upsampled_caption")
_PROMPT = ("prompt", "caption")


class Replay:
    """Gives back recorded refinements, by prompt and seed.

    Args:
        file: A run's folder or ``items.jsonl``, or a csv, tsv, jsonl or parquet table with the
            columns ``prompt`` (or ``caption``) and ``refined`` (or ``refined_prompt``,
            ``upsampled_caption``), optionally ``seed``.
        refiner: Which of the refiners that a run recorded; needed if it recorded several.
        missing: What a prompt without a record is: ``fail`` or the ``original`` prompt. The
            latter is recorded as such in the refinement's meta data.

    Raises:
        ConfigError: If the file cannot be read or holds no refinement, or two for one prompt and
            seed.
    """

    def __init__(
        self,
        file: Path,
        refiner: str = "",
        missing: Literal["fail", "original"] = "fail",
    ) -> None:
        path = file / ITEMS if file.is_dir() else file
        if not path.is_file():
            raise ConfigError(f"Expected refinements at {str(path)!r}, but there is no such file.")
        self._records = _read(path, refiner)
        self._missing = missing
        self.info = PluginInfo(
            name=f"{refiner or path.stem} (replayed)",
            revision=f"replayed-{file_digest(path)[:8]}",
            licence="the recorded refiner's",
            fingerprint={"file": file_digest(path), "refiner": refiner, "missing": missing},
            max_batch=256,
            free=True,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Look up each prompt, first with its seed, then without one."""
        return [self._refinement(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _refinement(self, prompt: str, seed: int) -> Refinement | Failure:
        found = self._records.get((prompt, seed)) or self._records.get((prompt, None))
        if found is not None:
            return found
        if self._missing == "original":
            return Refinement(prompt, meta={"missing": True})
        return Failure("missing", f"No recorded refinement of {prompt[:80]!r} with seed {seed}.")


_Records = dict[tuple[str, int | None], Refinement]


def _read(path: Path, refiner: str) -> _Records:
    rows = list(read_jsonl(path)) if path.name == ITEMS else read_table(path)
    if path.name == ITEMS:
        records = _collected(_recorded(rows, refiner, path), path)
    else:
        records = _collected(_listed(rows, path), path)
    if not records:
        raise ConfigError(f"Expected refinements in {str(path)!r}, but it holds none.")
    return records


def _collected(found: Iterator[tuple[str, int | None, Refinement]], path: Path) -> _Records:
    records: _Records = {}
    for prompt, seed, refinement in found:
        earlier = records.setdefault((prompt, seed), refinement)
        if earlier.text != refinement.text:
            raise ConfigError(
                f"Expected one refinement per prompt and seed in {str(path)!r}, but "
                f"{prompt[:60]!r} has two different ones."
            )
    return records


def _recorded(
    rows: Sequence[Mapping[str, Any]], refiner: str, path: Path
) -> Iterator[tuple[str, int | None, Refinement]]:
    """Rows of a run's ``items.jsonl``."""
    names = sorted({str(row["refiner"]) for row in rows})
    if not names:
        return
    if refiner not in names and (refiner or len(names) > 1):
        raise ConfigError(
            f"Expected `refiner` to be one that {str(path)!r} recorded ({', '.join(names)}), "
            f"but got {refiner!r}."
        )
    for row in rows:
        if row["refiner"] == (refiner or names[0]) and "refinement" in row:
            said = row["refinement"]
            meta = {**said["meta"], "replayed_from": row["refiner"], "key": said["key"]}
            yield (
                row["prompt"],
                row["seed"],
                Refinement(
                    said["text"],
                    said["reasoning"],
                    said["tokens"],
                    said["finish_reason"],
                    said["cost_usd"],
                    meta,
                ),
            )


def _listed(
    rows: Sequence[Mapping[str, Any]], path: Path
) -> Iterator[tuple[str, int | None, Refinement]]:
    """Rows of a plain table."""
    prompt, refined = column(rows, _PROMPT, path), column(rows, _REFINED, path)
    for number, row in enumerate(rows, 1):
        text = check_text(cell(row, refined, number, path), f"row {number} of {str(path)!r}")
        seed = str(row.get("seed") or "")
        if seed and not seed.isdecimal():
            raise ConfigError(
                f"Expected `seed` in row {number} of {str(path)!r} to be a whole number, "
                f"but got {seed!r}."
            )
        yield cell(row, prompt, number, path), int(seed) if seed else None, Refinement(text)
