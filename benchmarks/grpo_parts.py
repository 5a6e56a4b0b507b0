"""Where the time and the memory of a step of stage 2 go, with models of any size.

Weights are random, so times and memory are true and rewards mean nothing; all three models run by
the recipe's own path: the policy in the trainer, generator and judge in worker processes.

    python benchmarks/grpo_parts.py --clip 9 16 16
    python benchmarks/grpo_parts.py --policy 7b --generator 2b --judge 7b --device cuda \
        --tokens 512 --clip-steps 50

A random policy never stops and never writes the format: its replies have the full length, and the
reward is shown a readable one in the place of each, so that every reply costs a clip.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tools.models.pipelines.cogvideox import cogvideox
from tools.models.pipelines.tokenizers import qwen_tokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import bench_generators
import bench_videophy2
from tools.models import owl_checkpoint

import phybench
from phybench.machine.files import read_jsonl, write_text
from phybench.machine.folders import default_folder
from phybench.refiners.phyprompt import CheckpointCard, write_card
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, write_chain
from phybench.training.recipe.recipe import Recipe, load_recipe
from phybench.training.setup import claim
from phybench.training.stage2.callbacks import LOG
from phybench.training.stage2.clip_scores import ClipScores
from phybench.training.stage2.grpo import build_trainer, open_reward
from phybench.workers.choice import make_executor

POLICIES = {
    # config.json of Qwen2.5-7B-Instruct and Qwen2.5-1.5B-Instruct.
    "7b": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
    "1.5b": {
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    },
}
PROMPTS = ("A ball rolls down a hill.", "A red cube falls on a table.", "Water pours into a glass.")
PARTS = ("seconds/rollout", "seconds/reward", "step_time")


def save_policy(folder: Path, size: str, device: str, instructions: str) -> None:
    """A random policy that passes for stage 1's checkpoint of these instructions."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = qwen_tokenizer()
    ends = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    config = Qwen2Config(**POLICIES[size], eos_token_id=ends, pad_token_id=ends)
    with bench_generators.on(device, torch.bfloat16):
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card = CheckpointCard(
        size=size, stage="sft", system_prompt=instructions, base_model="random weights"
    )
    write_card(folder, card)


def save_generator(folder: Path, size: str, device: str) -> None:
    """CogVideoX-2B's pipeline with random weights; of T5-XXL one layer, which runs once a clip."""
    large = size == "2b"
    pipe = bench_generators.build_cogvideox("cogvideox", device) if large else cogvideox()
    pipe.save_pretrained(folder)


def save_judge(folder: Path, size: str) -> None:
    """VideoPhy2-AutoEval with random weights."""
    config = bench_videophy2.SIZES["real" if size == "7b" else size]
    owl_checkpoint.write_checkpoint(folder, config, owl_checkpoint.random_state(config, seed=1))


def make_recipe(folder: Path, options: argparse.Namespace) -> Recipe:
    """``phyprompt-7b`` with the random models and without evaluations in between."""
    (folder / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    where = f"device={options.device}"
    generator = f"cogvideox:model={folder / 'generator'},steps={options.clip_steps},{where}"
    names = ("frames", "height", "width")
    video = dict(zip(names, options.clip, strict=True)) if options.clip else {}
    return load_recipe(
        "phyprompt-7b",
        [
            where,
            f"sft_checkpoint='{folder / 'policy'}'",
            f"output='{folder / 'out'}'",
            f"reward.generator={json.dumps(generator)}",
            # A random judge answers nothing readable; its probabilities always give a score.
            f"reward.judge='videophy2:model={folder / 'judge'},reading=expected,{where}'",
            "reward.holdout=''",
            f"reward.video={json.dumps(video)}",
            "reward.workers=1",
            f"grpo.prompts='{folder / 'prompts.txt'}'",
            f"grpo.eval_prompts='{folder / 'prompts.txt'}'",
            "grpo.eval_limit=1",
            f"grpo.steps={options.steps}",
            f"grpo.prompts_per_step={options.prompts}",
            f"grpo.max_new_tokens={options.tokens}",
            "grpo.eval_every=1000000",
            *options.set,
        ],
    )


class Readable:
    """The reward, shown a readable reply in the place of each.

    Args:
        reward: The trainer's own.
        end: The token that ends a reply.
    """

    __name__ = "physics_reward"

    def __init__(self, reward: Any, end: int) -> None:
        self._reward, self._end, self._count = reward, end, 0

    async def __call__(self, **arguments: Any) -> list[float | None]:
        """Rewards of as many readable replies as there are replies."""
        replies = [self._reply(caption) for caption in arguments["caption"]]
        arguments["completions"] = [[{"role": "assistant", "content": one}] for one in replies]
        arguments["completion_ids"] = [[self._end]] * len(replies)
        rewards: list[float | None] = await self._reward(**arguments)
        return rewards

    def _reply(self, caption: str) -> str:
        self._count += 1
        text = f"{caption} It is take {self._count}."
        return write_chain(ChainOfThought("gravity", "it moves", "weight", "solid", "air", text))


def train(recipe: Recipe) -> list[dict[str, Any]]:
    """All steps; returns the log's rows of training. The cache is the one of the environment."""
    parts = open_reward(recipe, lambda text: print(text, file=sys.stderr))
    work = claim(recipe.final, "grpo", recipe)
    scores = ClipScores(
        parts[0],
        parts[1:],
        default_folder(),
        lambda clips: make_executor(recipe.reward.executor, clips, recipe.reward.workers),
    )
    try:
        trainer = build_trainer(recipe, work, scores, parts, lambda text: None)
        trainer.args.eval_on_start = False
        end = trainer.processing_class.eos_token_id
        trainer.reward_funcs[0] = Readable(trainer.reward_funcs[0], end)
        trainer.train()
    finally:
        scores.close()
    return [row for row in read_jsonl(work / LOG) if "step_time" in row]


def table(rows: Sequence[dict[str, Any]], recipe: Recipe) -> str:
    """One line per step, in seconds and GiB."""
    lines = [
        "| step | replies drawn, s | clips made and judged, s | gradients, s | "
        "GPU, trainer's peak, GiB | GPU, all processes, GiB | main memory, trainer's peak, GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rollout, reward, step = (row[name] for name in PARTS)
        gpu = [row.get(f"memory/{name}_gib") for name in ("peak_gpu", "gpu_used")]
        lines.append(
            f"| {row['step']} | {rollout:.2f} | {reward:.2f} | {step - rollout - reward:.2f} | "
            f"{' | '.join('–' if one is None else f'{one:.1f}' for one in gpu)} | "
            f"{row['memory/peak_host_gib']:.2f} |"
        )
    clips = recipe.grpo.prompts_per_step * recipe.grpo.group
    middle = statistics.median(row["seconds/reward"] for row in rows) / clips
    lines.append(f"\n{clips} clips a step, {middle:.2f} s each (median step).")
    return "\n".join(lines)


def main() -> None:
    """Build the models, train, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", choices=list(POLICIES), default="tiny")
    parser.add_argument("--generator", choices=["tiny", "2b"], default="tiny")
    parser.add_argument("--judge", choices=["tiny", "100m", "7b"], default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=2, help="per step; four replies to each")
    parser.add_argument("--tokens", type=int, default=64, help="of a reply")
    parser.add_argument("--clip-steps", type=int, default=2, help="denoising steps of a clip")
    parser.add_argument(
        "--clip", type=int, nargs=3, help="frames, height, width (default: the generator's own)"
    )
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the recipe")
    parser.add_argument("--log", type=Path, help="also write the steps as JSON lines")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PHYBENCH_CACHE"] = str(folder / "cache")  # nobody wants these clips again
        instructions = load_recipe("phyprompt-7b", options.set).instructions
        save_policy(folder / "policy", options.policy, options.device, instructions)
        save_generator(folder / "generator", options.generator, options.device)
        save_judge(folder / "judge", options.judge)
        recipe = make_recipe(folder, options)
        rows = train(recipe)
    if options.log:
        write_text(options.log, "".join(json.dumps(row) + "\n" for row in rows))
    card = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    print(table(rows, recipe))
    print(f"\nphybench {phybench.__version__}, torch {torch.__version__}, {card}")


if __name__ == "__main__":
    main()
