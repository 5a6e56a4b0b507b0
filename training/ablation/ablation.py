"""What the curriculum is worth: variants of one recipe from one start, trained several times each.

All variants begin from one stage-1 checkpoint (``no-sft`` from the model before it) and get the
same prompts in the same order, the same clip seeds and the same number of rollouts; training seed
``n`` is the recipe's seed plus ``n``, alike for all. Every part continues where a start broke off:
a finished training is recognised by its card, an unfinished one goes on from its checkpoint, and
the evaluations are ordinary runs on the shared cache.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from phybench.errors import ConfigError, RunLockedError, UnknownNameError
from phybench.machine.digest import file_digest, value_digest
from phybench.machine.environment import describe_environment
from phybench.machine.files import read_json, write_text
from phybench.machine.folders import default_folder
from phybench.planning.config import RunConfig
from phybench.planning.plan import build_plan
from phybench.plugins.contracts import VideoSettings
from phybench.plugins.spec import PluginSpec, make_spec, parse_spec
from phybench.prompts.prompt_sets import PromptSet, load_prompts
from phybench.running.runner import execute
from phybench.runs.cells import Run, load_run
from phybench.units.cache import Cache
from phybench.workers.choice import make_executor

from ..recipe.recipe import Recipe, load_recipe

Tell = Callable[[str], None]
DYNAMIC = "dynamic"
STAGE_ONE = "sft-only"
REFERENCES = ("identity", "template")
RECORD = "ablation.json"
_CONSTANT = frozenset({"static", "sa-only", "pc-only"})


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the ablation.

    Args:
        what: What it is, for the table.
        changes: What it changes in the recipe.
        trained: Whether it goes through stage 2, once per training seed.
    """

    what: str
    changes: tuple[str, ...] = ()
    trained: bool = True


VARIANTS: Mapping[str, Variant] = {
    DYNAMIC: Variant("the recipe's schedule"),
    "static": Variant("half SA, half PC throughout", ("reward.schedule=static",)),
    "sa-only": Variant("semantic adherence alone", ("reward.schedule=sa-only",)),
    "pc-only": Variant("physical commonsense alone", ("reward.schedule=pc-only",)),
    "no-sft": Variant("the recipe's schedule without stage 1", ("grpo.begin=base",)),
    STAGE_ONE: Variant("stage 1 alone", trained=False),
}


@dataclass(frozen=True, slots=True)
class Training:
    """One stage 2 of one variant.

    Args:
        variant: A key of :data:`VARIANTS`.
        number: Which of the training seeds, 0-based.
        recipe: What to do.
        command: The same as a command line of its own, for a machine elsewhere.
    """

    variant: str
    number: int
    recipe: Recipe
    command: str

    @property
    def arm(self) -> str:
        """Its name in tables and folders."""
        return f"{self.variant}-{self.number}"


@dataclass(frozen=True, slots=True)
class Ablation:
    """Everything that is to be done.

    Args:
        name: The recipe as the user named it.
        recipe: The recipe, changes applied.
        folder: Where trainings, evaluations and tables go.
        variants: Keys of :data:`VARIANTS`, ``dynamic`` among them.
        trainings: Every stage 2.
        prompts: Test set.
        limit: Only its first prompts.
        seeds: Clips per test prompt.
    """

    name: str
    recipe: Recipe
    folder: Path
    variants: tuple[str, ...]
    trainings: tuple[Training, ...]
    prompts: str
    limit: int | None
    seeds: int

    @property
    def training_seeds(self) -> int:
        """Trainings of each variant."""
        return 1 + max(training.number for training in self.trainings)

    def of(self, variant: str) -> tuple[Training, ...]:
        """The trainings of a variant, by training seed."""
        return tuple(each for each in self.trainings if each.variant == variant)

    def test_set(self) -> PromptSet:
        """The prompts that are evaluated on."""
        return load_prompts(self.prompts, self.limit)


def plan_ablation(
    name: str,
    changes: Sequence[str],
    folder: Path,
    *,
    variants: Sequence[str] = tuple(VARIANTS),
    training_seeds: int = 3,
    prompts: str = "",
    limit: int | None = None,
    seeds: int = 2,
) -> Ablation:
    """Lay out an ablation.

    Args:
        name: A bundled recipe's name, or a YAML file.
        changes: ``key=value`` each, for all variants.
        folder: Where everything goes.
        variants: Keys of :data:`VARIANTS`.
        training_seeds: Trainings of each variant.
        prompts: Test set; by default the first set that the recipe decontaminates against.
        limit: Only its first prompts.
        seeds: Clips per test prompt.

    Raises:
        ConfigError: If the recipe or an option cannot be used.
    """
    recipe = load_recipe(name, changes)
    for variant in variants:
        if variant not in VARIANTS:
            raise UnknownNameError("variant", variant, VARIANTS)
    if DYNAMIC not in variants:
        raise ConfigError(
            f"Expected `{DYNAMIC}` among the variants, which the others are compared with, but got "
            f"{', '.join(variants) or 'none'}."
        )
    if recipe.reward.schedule in _CONSTANT:
        raise ConfigError(
            f"Expected a recipe whose `reward.schedule` changes, but got "
            f"{recipe.reward.schedule!r}: there is no curriculum to ablate."
        )
    if training_seeds < 1:
        raise ConfigError(f"Expected `--training-seeds` to be ≥ 1, but got {training_seeds}.")
    test = prompts or next(iter(recipe.data.decontaminate), "")
    if not test:
        raise ConfigError(
            "Expected a test set: name one with --prompts, or in the recipe's `data.decontaminate`."
        )
    trainings = tuple(
        _training(name, changes, recipe, folder, variant, number)
        for number in range(training_seeds)
        for variant in dict.fromkeys(variants)
        if VARIANTS[variant].trained
    )
    return Ablation(
        name, recipe, folder, tuple(dict.fromkeys(variants)), trainings, test, limit, seeds
    )


def _training(
    name: str, changes: Sequence[str], recipe: Recipe, folder: Path, variant: str, number: int
) -> Training:
    output = folder / "trainings" / f"{variant}-{number}"
    own = [
        *changes,
        *VARIANTS[variant].changes,
        f"seed={recipe.seed + number}",
        f"sft_checkpoint={json.dumps(str(recipe.start))}",
        f"output={json.dumps(str(output))}",
        # All get the whole budget; what looks like hacking is said in the table.
        "grpo.stop_on_hacking=false",
    ]
    flags = [part for change in own for part in ("--set", change)]
    command = shlex.join(["phybench", "train", "grpo", name, *flags])
    return Training(variant, number, load_recipe(name, own), command)


def run_ablation(ablation: Ablation, tell: Tell) -> Run:
    """Train and evaluate everything, or the rest of it.

    Args:
        ablation: What to do.
        tell: Receives notes for the user.

    Returns:
        All arms as one run; the training arms are named ``VARIANT-NUMBER``.

    Raises:
        ConfigError: If something cannot start, or the common start has changed since.
        RunLockedError: If another process is at it.
        RewardError: If a training's samples fail too often; the same call continues.
    """
    from ..setup import check_installed, process
    from ..stage2.rollouts import check_vllm

    check_installed()
    check_vllm(ablation.recipe.grpo.vllm)
    if warning := foreign_test_set(ablation):
        tell(f"warning: {warning}")
    if process().num_processes > 1:
        raise ConfigError(
            "Expected one process, but this is one of several. Run the trainings on several GPUs "
            "by the commands that --dry-run lists; then `train ablate` finds them finished."
        )
    ablation.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(ablation.folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunLockedError(
            f"Another process is doing the ablation in {str(ablation.folder)!r}. Wait for it, or "
            "name another folder with -o."
        ) from error
    try:
        _stage_one(ablation, tell)
        for count, training in enumerate(ablation.trainings, 1):
            _train(training, f"training {count} of {len(ablation.trainings)}", tell)
        return _evaluated(ablation, tell)
    finally:
        lock.release()


def _stage_one(ablation: Ablation, tell: Tell) -> None:
    """The common start, made if it is not there; another one than last time is refused."""
    from ..setup import finished
    from ..stage1.sft import train_sft

    recipe = ablation.recipe
    if not finished(recipe.start, "sft"):
        train_sft(recipe, tell)
    found = start_digest(recipe)
    path = ablation.folder / RECORD
    before = read_json(path) if path.is_file() else {}
    if before.get("start_sha256", found) != found:
        raise ConfigError(
            f"Expected {str(recipe.start)!r} to be the checkpoint that {str(ablation.folder)!r} "
            "began from, but its weights are others now. Name another folder with -o."
        )
    record = {
        "recipe": recipe.model_dump(mode="json"),
        "start": str(recipe.start),
        "start_sha256": found,
        "variants": list(ablation.variants),
        "training_seeds": ablation.training_seeds,
        "commands": {each.arm: each.command for each in ablation.trainings},
        "environment": describe_environment(),
    }
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def start_digest(recipe: Recipe) -> str:
    """SHA-256 (hex) over the weights of stage 1's checkpoint."""
    files = sorted(recipe.start.glob("*.safetensors"))
    return value_digest({path.name: file_digest(path) for path in files})


def _train(training: Training, what: str, tell: Tell) -> None:
    from ..setup import claim, finished
    from ..stage2.grpo import train_grpo

    claim(training.recipe.final, "grpo", training.recipe)
    if finished(training.recipe.final, "grpo"):
        tell(f"{what}, {training.arm}: done before")
        return
    tell(f"{what}, {training.arm}")
    train_grpo(training.recipe, tell)


def foreign_test_set(ablation: Ablation) -> str:
    """A warning if the data was not cleaned of the test prompts; empty if it was."""
    if ablation.prompts in ablation.recipe.data.decontaminate:
        return ""
    return (
        f"The test set {ablation.prompts} is not in the recipe's `data.decontaminate`: the models "
        "may have been trained on its prompts."
    )


def evaluation_folder(ablation: Ablation) -> Path:
    """Where the evaluations on this test set lie; another set or seed number has another."""
    digest = ablation.test_set().sha256[:8]
    return ablation.folder / "evaluations" / f"{digest}-{ablation.seeds}"


def evaluated_arms(ablation: Ablation) -> dict[str, tuple[PluginSpec, ...]]:
    """The refiners of each evaluation: references together, checkpoints one at a time.

    A refiner holds its model in memory, so that all in one run would not fit on a GPU.
    """
    arms = {"references": tuple(make_spec(name, {}) for name in REFERENCES)}
    if STAGE_ONE in ablation.variants:
        arms[STAGE_ONE] = (_refiner(ablation.recipe.start, STAGE_ONE, ablation.recipe),)
    for each in ablation.trainings:
        arms[each.arm] = (_refiner(each.recipe.final, each.arm, each.recipe),)
    return arms


def _refiner(checkpoint: Path, label: str, recipe: Recipe) -> PluginSpec:
    options = {
        "checkpoint": str(checkpoint),
        "device": recipe.device,
        "as": label,
        **recipe.evaluation.model_dump(),
    }
    return make_spec("phyprompt", options)


def _evaluated(ablation: Ablation, tell: Tell) -> Run:
    from phybench.runs.merging import merge_runs

    runs = []
    arms = evaluated_arms(ablation)
    for count, (name, refiners) in enumerate(arms.items(), 1):
        tell(f"evaluation {count} of {len(arms)}, {name}")
        runs.append(_run(ablation, refiners, evaluation_folder(ablation) / name))
    return merge_runs(runs)


def _run(ablation: Ablation, refiners: tuple[PluginSpec, ...], folder: Path) -> Run:
    reward = ablation.recipe.reward
    judges = [reward.judge, *([reward.holdout] if reward.holdout else [])]
    config = RunConfig(
        refiners=refiners,
        generators=(parse_spec(reward.generator),),
        judges=tuple(map(parse_spec, judges)),
        prompts=ablation.prompts,
        limit=ablation.limit,
        seeds=ablation.seeds,
        seed=ablation.recipe.seed,
        settings=VideoSettings(**reward.video.model_dump()),
    )
    with Cache(default_folder()) as cache:
        pool = make_executor(reward.executor, cache.folder / "clips", reward.workers)
        silent: Callable[[Any], None] = lambda counts: None  # noqa: E731
        execute(
            build_plan(config), folder, cache=cache, executor=pool, progress=silent, plots=False
        )
    return load_run(folder)
