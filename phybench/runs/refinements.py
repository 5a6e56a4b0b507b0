"""What the refiners of a run did to its prompts, from the run's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phybench.machine.files import read_jsonl
from phybench.prompts.prompt_changes import PromptChanges, duplicates, find_changes, summary
from phybench.runs.cells import read_header
from phybench.runs.folder import ITEMS


def describe_refinements(folder: Path) -> dict[str, dict[str, Any]]:
    """Diagnostics of every arm's refinements: length, losses, additions, refusals, duplicates.

    Args:
        folder: A run's folder.

    Returns:
        By ``refiner|generator``, what :func:`phybench.prompts.prompt_changes.summary` says, with
        ``duplicates``, the number of different prompts that share their refinement with another.
        Lengths in the generator's tokens are there where the generator recorded them, and the
        share that it cut where it has a budget.
    """
    generators = read_header(folder)["plugins"]["generator"]
    budgets = {each["name"]: each["prompt_budget"] for each in generators}
    found: dict[str, dict[tuple[str, str], PromptChanges]] = {}
    texts: dict[str, dict[str, str]] = {}
    for row in read_jsonl(folder / ITEMS):
        if "refinement" not in row:
            continue
        arm = f"{row['refiner']}|{row['generator']}"
        text = row["refinement"]["text"]
        texts.setdefault(arm, {})[row["prompt_id"]] = text
        own = found.setdefault(arm, {})
        if (row["prompt_id"], text) not in own:
            tokens = (row.get("clip") or {}).get("meta", {}).get("prompt_tokens")
            budget = budgets[row["generator"]]
            own[row["prompt_id"], text] = find_changes(
                row["prompt"], text, tokens=tokens, budget=budget
            )
    return {
        arm: {
            **summary(list(own.values())),
            "duplicates": sum(map(len, duplicates(texts[arm]))),
        }
        for arm, own in found.items()
    }
