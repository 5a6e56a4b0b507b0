"""Stage 2 on the tiny model as a program of its own, alone or as one of several ranks.

``python watched_training.py SETUP``, or by ``accelerate launch``: SETUP is
a JSON file with the recipe's ``changes`` and the ``cache``. Each rank leaves, beside the recipe's
logs, ``seen-rankN.json`` with the advantages that its trainer used, step by step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from phybench.training.recipe.recipe import load_recipe
from phybench.training.setup import claim, process
from phybench.training.stage2.clip_scores import ClipScores
from phybench.training.stage2.grpo import build_trainer
from phybench.workers.serial import SerialExecutor
from tools.training.stage2_parts import Plain, Words, advantages_of, opened


def main() -> None:
    import torch

    torch.set_num_threads(1)
    setup = json.loads(Path(sys.argv[1]).read_text())
    recipe = load_recipe("phyprompt-mini", setup["changes"])
    rank = process().process_index
    work = claim(recipe.final, "grpo", recipe)
    parts = (opened("generator", Plain()), opened("judge", Words()))
    scores = ClipScores(parts[0], parts[1:], Path(setup["cache"]) / str(rank), SerialExecutor)
    trainer = build_trainer(recipe, work, scores, parts, lambda text: None)
    advantages = advantages_of(trainer)
    trainer.train()
    scores.close()
    seen = {"ranks": process().num_processes, "advantages": advantages}
    (work / f"seen-rank{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
