"""Inspect logs (schema version 2): one JSON log per cell, as ``inspect view`` opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phybench.machine.digest import text_digest
from phybench.publish.export.rows import CellItems, ScoreRow, json_number
from phybench.runs.cells import Run
from phybench.runs.items import JudgedItem
from phybench.statistics.rates import arm_rate

_MEASURES = ("joint", "sa", "pc")


def inspect_log(run: Run, cell: CellItems) -> dict[str, Any]:
    """The log of one cell; the arm is the model, the judge the scorer, repeats are epochs."""
    metrics = cell.metrics
    created = run.header["created"]
    model = f"phybench/{metrics.refiner}+{metrics.generator}"
    arm = run.cells[metrics.refiner, metrics.generator, metrics.judge]
    return {
        "version": 2,
        "status": "success" if run.header["status"] == "done" else "started",
        "eval": {
            "eval_id": text_digest(metrics.signature)[:22],
            "run_id": text_digest(str(run.header["identity"]))[:22],
            "created": created,
            "task": f"phybench/{run.header['prompts']['name']}",
            "task_id": text_digest(metrics.signature, "task")[:22],
            "task_version": 1,
            "dataset": {
                "name": run.header["prompts"]["name"],
                "samples": len(run.prompt_ids),
                "sample_ids": list(run.prompt_ids),
                "shuffled": False,
            },
            "model": model,
            "config": {"epochs": run.header["seeds"], "epochs_reducer": ["mean"]},
            "packages": {"phybench": metrics.signature.rpartition("v:")[2]},
            "metadata": {"signature": metrics.signature, "simulated": run.header["simulated"]},
            "scorers": [{"name": metrics.judge}],
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": metrics.counts["planned"],
            "completed_samples": metrics.counts["planned"] - metrics.counts["failed"],
            "scores": [
                _results(name, metrics.judge, metrics.counts, arm_rate(arm.success(name)))
                for name in _MEASURES
            ],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
        "samples": [
            _sample(item, score, model)
            for item, score in sorted(cell.items, key=lambda pair: (pair[0].k, pair[0].index))
        ],
    }


def _results(name: str, judge: str, counts: Mapping[str, int], rate: Any) -> dict[str, Any]:
    values = {
        "accuracy": rate.rate,
        "stderr": rate.standard_error,
        "ci_low": rate.interval.low,
        "ci_high": rate.interval.high,
    }
    return {
        "name": name,
        "scorer": judge,
        "reducer": "mean",
        "scored_samples": counts["scored"],
        "unscored_samples": counts["planned"] - counts["scored"],
        "params": {},
        "metrics": {
            key: {"name": key, "value": value, "params": {}}
            for key, number in values.items()
            if (value := json_number(number)) is not None
        },
    }


def _sample(item: JudgedItem, score: ScoreRow | None, model: str) -> dict[str, Any]:
    refined = item.refinement["text"] if item.refinement else ""
    sample: dict[str, Any] = {
        "id": item.prompt_id,
        "epoch": item.k + 1,
        "input": item.prompt,
        "target": "",
        "messages": [{"role": "user", "content": item.prompt}],
        "output": {
            "model": model,
            "choices": [
                {"message": {"role": "assistant", "content": refined}, "stop_reason": "stop"}
            ],
        },
        "scores": {},
        "metadata": {
            "seed": item.seed,
            "clip_sha256": item.clip["sha256"] if item.clip else None,
            "clip": item.clip["path"] if item.clip else None,
        },
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }
    error = item.error or (score or {}).get("error")
    if error:
        text = f"{error['stage']} ({error['kind']}): {error['message']}"
        sample["error"] = {"message": text, "traceback": "", "traceback_ansi": ""}
    elif score is not None and score["status"] == "scored":
        reply = {"explanation": score["reply"], "metadata": {"status": "scored"}}
        sample["scores"] = {name: {"value": score[name], **reply} for name in _MEASURES}
    return sample
