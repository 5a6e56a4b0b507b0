"""Run folders with chosen scores, written through the harness's own writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from phybench.machine.digest import text_digest
from phybench.runs.folder import ITEMS, RUN, SCHEMA_VERSION, SCORES, RunWriter

LIKERT = {"low": 1, "high": 5, "success": 4}


def make_run(
    folder: Path,
    arms: Mapping[tuple[str, str], tuple[ArrayLike, ArrayLike]],
    *,
    judge: str = "kinematic",
    judge_print: str = "j1",
    seed: int = 0,
    prompts: Mapping[str, str] | None = None,
    replies: Mapping[tuple[int, str, str], str] | None = None,
    clips: Mapping[tuple[int, str, str], Path] | None = None,
    simulated: bool = True,
    details: Mapping[str, Any] | None = None,
    groups: Mapping[str, list[str]] | None = None,
) -> Path:
    """Write a finished run.

    Args:
        folder: Where.
        arms: By (refiner, generator): SA and PC of shape (prompts, seeds); NaN fails the judging,
            -1 is unscored, -2 fails the generation. All refiners with all generators.
        judge: Name of the one judge.
        judge_print: Its fingerprint.
        seed: The run seed.
        prompts: Prompt texts by id; default ``p0`` … with texts of their own.
        replies: Raw replies by (prompt number, refiner, generator); default names the scores.
        clips: Video files, likewise; default none on disk.
        simulated: The header's flag.
        details: Details of every score.
        groups: Columns of the prompt set, a value per prompt.
    """
    scores = {name: tuple(np.asarray(part, float) for part in pair) for name, pair in arms.items()}
    count, repeats = next(iter(scores.values()))[0].shape
    texts = prompts or {f"p{number}": f"a ball {number} falls" for number in range(count)}
    refiners = list(dict.fromkeys(name for name, _ in scores))
    generators = list(dict.fromkeys(name for _, name in scores))
    items, rows = [], []
    index = 0
    for number, (prompt_id, text) in enumerate(texts.items()):
        for k in range(repeats):
            for refiner in refiners:
                for generator in generators:
                    sa, pc = (part[number, k] for part in scores[refiner, generator])
                    at = (number, refiner, generator)
                    item: dict[str, Any] = {
                        "index": index,
                        "prompt_id": prompt_id,
                        "prompt": text,
                        "refiner": refiner,
                        "generator": generator,
                        "k": k,
                        "seed": 17 + k,
                    }
                    index += 1
                    if sa == -2:
                        error = _error("generate", "out of memory")
                        items.append({**item, "status": "failed", "error": error})
                        continue
                    path = (clips or {}).get(at)
                    sha = text_digest(refiner, generator, prompt_id, str(k))
                    items.append({**item, "status": "ok", **_made(text, refiner, sha, path)})
                    reply = (replies or {}).get(at, f"SA {sa:g} PC {pc:g}")
                    score = {**item, "judge": judge, "clip": sha}
                    rows.append({**score, **_score(sa, pc, reply, dict(details or {}))})
    header = _header(texts, repeats, seed, refiners, generators, judge, judge_print, simulated)
    header["prompts"]["groups"] = dict(groups or {})
    with RunWriter(folder) as writer:
        writer.write_json(RUN, header)
        writer.append(ITEMS, items)
        writer.append(SCORES, rows)
    return folder


def _made(text: str, refiner: str, sha: str, path: Path | None) -> dict[str, Any]:
    refined = text if refiner == "identity" else f"{text}, slowly, as {refiner} says"
    return {
        "refinement": {
            "text": refined,
            "reasoning": "",
            "tokens": None,
            "finish_reason": "stop",
            "cost_usd": 0.0,
            "meta": {},
            "key": text_digest(refined),
        },
        "clip": {
            "path": str(path) if path else None,
            "sha256": sha,
            "source": "",
            "frames": 16,
            "fps": 8.0,
            "width": 64,
            "height": 64,
            "meta": {},
        },
    }


def _score(sa: float, pc: float, reply: str, details: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"sa": None, "pc": None, "joint": None}
    if np.isnan(sa) or np.isnan(pc):
        return {"status": "failed", "error": _error("judge", "no number", reply, "parse"), **empty}
    if sa == -1:
        return {"status": "unscored", **empty, "reply": reply, "rules": [], "details": details}
    joint = int(sa >= 4 and pc >= 4)
    return {
        "status": "scored",
        "sa": sa,
        "pc": pc,
        "joint": joint,
        "reply": reply,
        "rules": [],
        "details": details,
    }


def _error(stage: str, message: str, reply: str = "", kind: str = "error") -> dict[str, Any]:
    return {
        "stage": stage,
        "kind": kind,
        "message": message,
        "retryable": False,
        "reply": reply,
    }


def _header(
    texts: Mapping[str, str],
    repeats: int,
    seed: int,
    refiners: list[str],
    generators: list[str],
    judge: str,
    judge_print: str,
    simulated: bool,
) -> dict[str, Any]:
    def plugin(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "plugin": name,
            "revision": "1",
            "licence": "Apache-2.0",
            "options": {},
            "fingerprint": {},
            "fingerprint_sha256": text_digest(name),
            **more,
        }

    own_judge = plugin(judge, scale=LIKERT, fingerprint_sha256=judge_print)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "done",
        "simulated": simulated,
        "identity": {},
        "signatures": {
            f"{refiner}|{generator}|{judge}": f"refiner:{refiner}|gen:{generator}|judge:{judge}"
            for refiner in refiners
            for generator in generators
        },
        "prompts": {
            "name": "made",
            "sha256": text_digest(*texts.keys(), *texts.values()),
            "ids": list(texts),
        },
        "seeds": repeats,
        "seed": seed,
        "settings": {"frames": None, "fps": None, "width": None, "height": None},
        "plugins": {
            "refiner": [plugin(name) for name in refiners],
            "generator": [plugin(name, simulated=simulated) for name in generators],
            "judge": [own_judge],
        },
        "environment": {},
    }
