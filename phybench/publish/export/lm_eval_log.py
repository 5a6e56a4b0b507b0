"""lm-evaluation-harness results and samples: one pair of files per arm, judges as tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from phybench.machine.digest import text_digest
from phybench.publish.export.rows import CellItems, ScoreRow, json_number
from phybench.runs.cells import Run
from phybench.runs.items import JudgedItem
from phybench.statistics.rates import arm_rate

_MEASURES = ("joint", "sa", "pc")


def task_name(judge: str) -> str:
    """The task that a judge is exported as."""
    return f"phybench_{judge}"


def lm_eval_results(run: Run, cells: Sequence[CellItems]) -> dict[str, Any]:
    """The ``results_*.json`` of one arm.

    Args:
        run: The run.
        cells: The arm's cells, one per judge.
    """
    first = cells[0].metrics
    tasks = [task_name(cell.metrics.judge) for cell in cells]
    return {
        "results": {
            task: _numbers(run, cell, task) for task, cell in zip(tasks, cells, strict=True)
        },
        "group_subtasks": {task: [] for task in tasks},
        "configs": {
            task: {
                "task": task,
                "metric_list": [
                    {"metric": name, "aggregation": "mean", "higher_is_better": True}
                    for name in _MEASURES
                ],
                "output_type": "generate_until",
                "repeats": run.header["seeds"],
                "metadata": {"version": 1, "signature": cell.metrics.signature},
            }
            for task, cell in zip(tasks, cells, strict=True)
        },
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: dict.fromkeys(_MEASURES, True) for task in tasks},
        "n-samples": {
            task: {
                "original": cell.metrics.counts["planned"],
                "effective": cell.metrics.counts["scored"],
            }
            for task, cell in zip(tasks, cells, strict=True)
        },
        "config": {
            "model": f"{first.refiner}+{first.generator}",
            "model_args": "",
            "batch_size": None,
            "random_seed": run.header["seed"],
        },
        "date": datetime.fromisoformat(run.header["created"]).timestamp(),
        "chat_template": None,
    }


def _numbers(run: Run, cell: CellItems, task: str) -> dict[str, Any]:
    metrics = cell.metrics
    arm = run.cells[metrics.refiner, metrics.generator, metrics.judge]
    found: dict[str, Any] = {"alias": task}
    for name in _MEASURES:
        rate = arm_rate(arm.success(name))
        found[f"{name},none"] = json_number(rate.rate)
        found[f"{name}_stderr,none"] = json_number(rate.standard_error)
    return found


def lm_eval_samples(cell: CellItems) -> str:
    """The ``samples_*.jsonl`` of one cell; items without a score are left out, as there."""
    rows = [
        _sample(item, score)
        for item, score in cell.items
        if score is not None and score["status"] == "scored"
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _sample(item: JudgedItem, score: ScoreRow) -> dict[str, Any]:
    refined = item.refinement["text"] if item.refinement else ""
    doc = {"prompt_id": item.prompt_id, "prompt": item.prompt, "k": item.k, "seed": item.seed}
    return {
        "doc_id": item.index,
        "doc": doc,
        "target": "",
        "arguments": {"gen_args_0": {"arg_0": item.prompt}},
        "resps": [[refined]],
        "filtered_resps": [refined],
        "filter": "none",
        "metrics": list(_MEASURES),
        "doc_hash": text_digest(json.dumps(doc, sort_keys=True)),
        "prompt_hash": text_digest(item.prompt),
        "target_hash": text_digest(""),
        **{name: score[name] for name in _MEASURES},
    }
