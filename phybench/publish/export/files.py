"""Writing a run in a format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError, MissingExtraError, StorageError
from phybench.machine.files import write_text
from phybench.publish.export.inspect_log import inspect_log
from phybench.publish.export.lm_eval_log import lm_eval_results, lm_eval_samples, task_name
from phybench.publish.export.rows import CellItems, cells_with_items, flat_rows, slugs
from phybench.runs.cells import Run
from phybench.runs.items import broken_laws

Format = Literal["inspect", "lm-eval", "vbench", "failures", "parquet"]


def export_run(run: Run, format_: Format, target: Path) -> list[Path]:
    """Write a run in a format.

    Args:
        run: The run.
        format_: Which one.
        target: The folder to write into; made if absent.

    Returns:
        The files that were written.

    Raises:
        ConfigError: If the folder cannot be made.
        MissingExtraError: If ``parquet`` is asked for without pyarrow.
        StorageError: If the disk refuses a write.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot write to {str(target)!r}: {error}.") from error
    writers: Mapping[Format, Callable[[Run, Path], list[Path]]] = {
        "inspect": _inspect,
        "lm-eval": _lm_eval,
        "vbench": _vbench,
        "failures": _failures,
        "parquet": _parquet,
    }
    return writers[format_](run, target)


def _names(run: Run) -> dict[str, str]:
    plugins = run.header["plugins"]
    return slugs(
        [plugin["name"] for kind in ("refiner", "generator", "judge") for plugin in plugins[kind]]
    )


def _cell_file(cell: CellItems, names: Mapping[str, str]) -> str:
    one = cell.metrics
    return "_".join(names[name] for name in (one.refiner, one.generator, one.judge))


def _stamp(run: Run) -> str:
    """The run's own time, so that exporting twice gives the same files."""
    return str(run.header["created"]).replace(":", "-").replace("+00-00", "")


def _write_json(path: Path, value: Any) -> Path:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    return path


def _inspect(run: Run, target: Path) -> list[Path]:
    names = _names(run)
    return [
        _write_json(
            target / f"{_stamp(run)}_{_cell_file(cell, names)}.json", inspect_log(run, cell)
        )
        for cell in cells_with_items(run)
    ]


def _lm_eval(run: Run, target: Path) -> list[Path]:
    names = _names(run)
    arms: dict[tuple[str, str], list[CellItems]] = {}
    for cell in cells_with_items(run):
        arms.setdefault((cell.metrics.refiner, cell.metrics.generator), []).append(cell)
    written = []
    for (refiner, generator), cells in arms.items():
        folder = target / f"{names[refiner]}__{names[generator]}"
        folder.mkdir(exist_ok=True)
        written.append(
            _write_json(folder / f"results_{_stamp(run)}.json", lm_eval_results(run, cells))
        )
        for cell in cells:
            task = task_name(names[cell.metrics.judge])
            path = folder / f"samples_{task}_{_stamp(run)}.jsonl"
            write_text(path, lm_eval_samples(cell))
            written.append(path)
    return written


_DIMENSIONS = {
    "semantic_adherence": "sa",
    "physical_commonsense": "pc",
    "joint": "joint",
}


def _vbench(run: Run, target: Path) -> list[Path]:
    """VBench's ``*_eval_results.json``: per dimension the mean and each video's value."""
    names = _names(run)
    written = []
    for cell in cells_with_items(run):
        scored = [
            (item.clip["path"] or item.clip["source"], score)
            for item, score in cell.items
            if score is not None and score["status"] == "scored" and item.clip is not None
        ]
        value = {
            dimension: [
                sum(score[key] for _, score in scored) / len(scored) if scored else None,
                [{"video_path": path, "video_results": score[key]} for path, score in scored],
            ]
            for dimension, key in _DIMENSIONS.items()
        }
        path = target / f"{_cell_file(cell, names)}_eval_results.json"
        written.append(_write_json(path, value))
    return written


def _failures(run: Run, target: Path) -> list[Path]:
    """Judged clips without joint success, with what is known of the reason."""
    rows = [
        {
            "prompt_id": item.prompt_id,
            "prompt": item.prompt,
            "refiner": item.refiner,
            "refinement": item.refinement["text"] if item.refinement else None,
            "generator": item.generator,
            "seed": item.seed,
            "clip": item.clip["path"] if item.clip else None,
            "clip_sha256": item.clip["sha256"] if item.clip else None,
            "judge": cell.metrics.judge,
            "sa": score["sa"],
            "pc": score["pc"],
            "violated": broken_laws(score),
            "reply": score["reply"],
        }
        for cell in cells_with_items(run)
        for item, score in cell.items
        if score is not None and score["joint"] == 0
    ]
    path = target / "failures.jsonl"
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return [path]


def _parquet(run: Run, target: Path) -> list[Path]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Writing parquet files", "pyarrow", "parquet") from error
    path = target / "items.parquet"
    temporary = path.with_name(".items.parquet.tmp")
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(flat_rows(run)), temporary)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {str(path)!r}: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return [path]
