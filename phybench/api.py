"""What ``import phybench`` and the command line both call.

Every function imports what it needs when it is called, so that ``import phybench`` stays light.
Plugins are SPEC strings or objects. An object is called in this process, also where the executor is
``local`` or ``ray``: no other process has it. Its ``info.fingerprint`` has to change when its
results would, as the cache goes by it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Unpack

    from phybench.planning.config import RunKeywords, RunOptions
    from phybench.planning.estimate import Estimate
    from phybench.plugins.contracts import Failure, Refinement, Refiner
    from phybench.plugins.opened import Asked
    from phybench.running.results import ComparedRuns, RunResults, ScoringResults
    from phybench.video.common_view import View

    Tell = Callable[[str], None]


def run(config: Path | str | None = None, **options: Unpack[RunKeywords]) -> RunResults:
    """Evaluate refiners × generators × judges on a prompt set, or go on with it.

    Args:
        config: A YAML file with options; keywords win over it.
        **options: ``refiners``, ``generators``, ``judges``, ``prompts`` (a set's name, a file, or a
            list of texts), ``seeds`` and the other keys of
            :class:`~phybench.planning.config.RunKeywords`; as in ``phybench run --help``.

    Returns:
        The numbers, with frames, comparisons and a report.

    Raises:
        ConfigError: If the run cannot start; every problem that was found is named.
        StorageError: If the disk refuses a write; the same call continues later.
    """
    return carry_out(_read(config, options), tell=_warn)


def plan(config: Path | str | None = None, **options: Unpack[RunKeywords]) -> Estimate:
    """Say what a run would do and cost, and do nothing.

    Args:
        config: A YAML file with options; keywords win over it.
        **options: As for :func:`run`.

    Raises:
        ConfigError: If the run could not start.
    """
    return estimate_cost(_read(config, options), tell=_warn)


def _read(config: Path | str | None, options: RunKeywords) -> RunOptions:
    from phybench.planning.config import run_options

    return run_options(options, None if config is None else Path(config))


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def carry_out(options: RunOptions, *, tell: Tell) -> RunResults:
    """Do a run whose options are read already.

    Args:
        options: The run and how it is done.
        tell: Told what the person should know beside the numbers.

    Raises:
        ConfigError: If the run cannot start.
        StorageError: If the disk refuses a write.
    """
    from rich.console import Console

    from phybench.machine.folders import cache_folder, default_folder
    from phybench.planning.disk_space import check_disk
    from phybench.planning.plan import build_plan
    from phybench.planning.plan import warnings as warnings_of
    from phybench.running.progress import shown
    from phybench.running.results import RunResults
    from phybench.running.runner import RUNS, default_name, execute
    from phybench.units.cache import Cache
    from phybench.workers.choice import make_executor

    started = time.monotonic()
    with cache_folder(options.cache):
        planned = build_plan(options.config)
    for remark in (*options.remarks, *(f"warning: {each}" for each in warnings_of(planned))):
        tell(remark)
    folder = options.output or RUNS / default_name(planned)
    with cache_folder(options.cache), Cache(default_folder()) as units:
        check_disk(planned, units, folder)
        pool = make_executor(options.executor, units.folder / "clips", options.workers)
        try:
            with shown(Console(stderr=True), quiet=options.quiet) as progress:
                outcome = execute(
                    planned,
                    folder,
                    cache=units,
                    executor=pool,
                    progress=progress,
                    plots=options.plots,
                )
        except KeyboardInterrupt:
            tell(f"Interrupted. The same command goes on with what is finished ({folder}).")
            raise
    return RunResults(folder, outcome.cells, time.monotonic() - started)


def estimate_cost(options: RunOptions, *, tell: Tell) -> Estimate:
    """Plan a run whose options are read already; see :func:`carry_out`.

    Raises:
        ConfigError: If the run could not start.
    """
    from phybench.machine.folders import cache_folder, default_folder
    from phybench.planning.estimate import estimate
    from phybench.planning.plan import build_plan
    from phybench.units.cache import Cache

    for remark in options.remarks:
        tell(remark)
    with cache_folder(options.cache), Cache(default_folder()) as units:
        return estimate(build_plan(options.config), units)


def open_run(folder: Path | str) -> RunResults:
    """Open a run's folder, also while the run goes on.

    Raises:
        ConfigError: If it holds no run.
    """
    from phybench.running.results import RunResults

    return RunResults(Path(folder))


def compare(
    *runs: RunResults | Path | str,
    baseline: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> ComparedRuns:
    """Compare every arm of one or several runs with a baseline, paired by prompt and seed.

    Args:
        *runs: Runs or their folders; of several the first is the reference.
        baseline: A refiner (``identity``) or an arm (``identity/cogvideox``). Default:
            ``identity``; with several runs the same arms of the first run.
        level: Confidence level of the intervals, in 0..1.
        seed: Seed of the bootstrap.

    Raises:
        ConfigError: If nothing can be compared.
    """
    from phybench.errors import ConfigError
    from phybench.running.results import RunResults, compare_loaded

    if not runs:
        raise ConfigError("Expected at least one run to compare, but got none.")
    opened = [one if isinstance(one, RunResults) else open_run(one) for one in runs]
    return compare_loaded([one.data for one in opened], baseline, level, seed)


def score(
    clips: Path | str,
    judges: Sequence[Asked | str],
    *,
    root: Path | str | None = None,
    view: View | str | None = None,
    executor: str = "serial",
    workers: int | None = None,
    cache: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    tell: Tell | None = None,
) -> ScoringResults:
    """Judge clips that lie on disk.

    Args:
        clips: A table with ``videopath`` and ``caption``, or a folder of clips with ``.txt``.
        judges: SPECs, or judge objects.
        root: Folder that relative clip paths start from; default: the table's.
        view: How the clips are shown to the judges, e.g. ``fps=4,size=720x480``.
        executor: Who calls the judges: ``serial``, ``local`` or ``ray``.
        workers: Processes per judge, where the executor has any.
        cache: The cache's folder; default: ``$PHYBENCH_CACHE`` or the user's.
        progress: Called with judge (or ``view``), clips done and clips in all.
        tell: Told what the person should know beside the scores; default: a warning.

    Raises:
        ConfigError: If the table cannot be read or a judge cannot be constructed.
    """
    from phybench.machine.folders import cache_folder, default_folder
    from phybench.running.clip_table import load_clips, score_clips
    from phybench.running.results import ScoringResults
    from phybench.units.cache import Cache
    from phybench.video.common_view import parse_view
    from phybench.workers.choice import make_executor

    shown = parse_view(view) if isinstance(view, str) else view
    table = load_clips(Path(clips), None if root is None else Path(root))
    if table.remark:
        (tell or _warn)(table.remark)
    with cache_folder(None if cache is None else Path(cache)), Cache(default_folder()) as units:
        pool = make_executor(executor, units.folder / "clips", workers)
        try:
            scored = score_clips(table, judges, units, progress or _silent, shown, pool)
        finally:
            pool.close()
    return ScoringResults(scored)


def _silent(judge: str, done: int, total: int) -> None:
    """Show nothing."""


def refine(
    texts: str | Sequence[str],
    refiner: Refiner | str = "template",
    *,
    n: int = 1,
    seed: int = 0,
    cache: Path | str | None = None,
) -> list[Refinement | Failure]:
    """Rewrite prompts outside a benchmark, with the texts that a run with this seed makes.

    Args:
        texts: One prompt or several.
        refiner: A SPEC, or a refiner object.
        n: Refinements per prompt, ≥ 1.
        seed: The run's seed.
        cache: The cache's folder; default: ``$PHYBENCH_CACHE`` or the user's.

    Returns:
        The ``n`` refinements of the first prompt, or the failures to make them, then those of the
        second, and so on.

    Raises:
        ConfigError: If the refiner cannot be constructed or a text cannot be a prompt.
    """
    from phybench.machine.folders import cache_folder, default_folder
    from phybench.planning.config import specs
    from phybench.plugins.contracts import Prompt
    from phybench.prompts.prompt_sets import check_text
    from phybench.prompts.seeds import text_id
    from phybench.running.refining import refine_prompts
    from phybench.units.cache import Cache
    from phybench.workers.opening import open_alone

    asked = [texts] if isinstance(texts, str) else list(texts)
    prompts = [
        Prompt(text_id(text), check_text(text, f"prompt {number}"))
        for number, text in enumerate(asked, 1)
    ]
    with cache_folder(None if cache is None else Path(cache)), Cache(default_folder()) as units:
        opened = open_alone("refiner", specs([refiner])[0])
        return refine_prompts(opened, prompts, n=n, seed=seed, cache=units)


def refiner(spec: str) -> Any:
    """A refiner as a function from text to text, for use in front of any pipeline.

    Args:
        spec: A SPEC, e.g. ``template`` or ``phyprompt``.

    Returns:
        A :class:`phybench.refiners.rewriter.Rewriter`.

    Raises:
        ConfigError: If the refiner cannot be constructed.
    """
    from phybench.refiners.rewriter import load_rewriter

    return load_rewriter(spec)
