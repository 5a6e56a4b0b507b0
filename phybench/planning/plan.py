"""The matrix of a run: which items there are, and whether they can be done at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from phybench.errors import ConfigError
from phybench.planning.config import RunConfig
from phybench.plugins.abilities import (
    BringsClips,
    BringsPrompts,
    Preflight,
    Remarks,
    TokenCounter,
)
from phybench.plugins.contracts import (
    ClipRequest,
    Failure,
    PluginInfo,
    Prompt,
    Refinement,
    VideoSettings,
)
from phybench.plugins.opened import Asked, Kind, Opened
from phybench.plugins.registry import expand
from phybench.plugins.spec import PluginSpec
from phybench.prompts.length_budget import Shortener, Shortening, check_counting, too_long
from phybench.prompts.prompt_sets import PromptSet, load_prompts, prompts_from_texts
from phybench.prompts.seeds import prompt_seed
from phybench.units.keys import fingerprint
from phybench.video.common_view import VIEWER, View
from phybench.workers.opening import open_plugin

DEFAULT_PROMPTS = "tabletop-test"
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Item:
    """One clip of the matrix.

    Args:
        index: Position in the plan, 0-based.
        prompt: The user's prompt.
        k: Index of the repeat.
        seed: The item's seed.
        refiner: Index of the refiner.
        generator: Index of the generator.
    """

    index: int
    prompt: Prompt
    k: int
    seed: int
    refiner: int
    generator: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A run with its plugins constructed and its prompts loaded."""

    prompts: PromptSet
    seeds: int
    seed: int
    settings: VideoSettings
    refiners: tuple[Opened, ...]
    generators: tuple[Opened, ...]
    judges: tuple[Opened, ...]
    view: View | None = None
    retry_over_budget: bool = False

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.prompts.prompts) * self.seeds * len(self.refiners) * len(self.generators)

    @property
    def simulated(self) -> bool:
        """Whether a generator or refiner of the plan is a simulation."""
        return any(each.info.simulated for each in (*self.refiners, *self.generators))

    def items(self) -> Iterator[Item]:
        """All items; arms of one prompt lie next to each other, so they finish together."""
        index = 0
        for prompt in self.prompts.prompts:
            for k in range(self.seeds):
                seed = prompt_seed(self.seed, prompt, k)
                for refiner in range(len(self.refiners)):
                    for generator in range(len(self.generators)):
                        yield Item(index, prompt, k, seed, refiner, generator)
                        index += 1

    def known_requests(self) -> Iterator[ClipRequest]:
        """The clip requests that can be told before work starts: those of free refiners."""
        for opened in self.refiners:
            if opened.info.free:
                yield from self._requests(opened)

    def _requests(self, refiner: Opened) -> Iterator[ClipRequest]:
        prompts = self.prompts.prompts
        for k in range(self.seeds):
            for start in range(0, len(prompts), _CHUNK):
                chunk = prompts[start : start + _CHUNK]
                seeds = [prompt_seed(self.seed, prompt, k) for prompt in chunk]
                texts = refiner.plugin.refine([prompt.text for prompt in chunk], seeds)
                for refined, seed in zip(texts, seeds, strict=True):
                    if not isinstance(refined, Failure):
                        yield ClipRequest(refined.text, seed, k, self.settings)

    def known_sources(self) -> list[str]:
        """The names of the clips that generators bring; empty if they make all clips."""
        return [
            source
            for opened in self.generators
            if isinstance(opened.plugin, BringsClips)
            for source in opened.plugin.sources()
        ]

    def sent_back(self, item: Item, made: Refinement) -> Shortening | None:
        """What the refiner of an item is asked to write shorter, if it can be and has to."""
        if not self.retry_over_budget or not isinstance(
            self.refiners[item.refiner].plugin, Shortener
        ):
            return None
        return too_long(item.prompt.text, made, self.generators[item.generator])

    def identity(self) -> dict[str, Any]:
        """Everything that decides the numbers; two runs with equal identities are one run."""
        return {
            "prompts": self.prompts.sha256,
            "seeds": self.seeds,
            "seed": self.seed,
            "settings": [getattr(self.settings, name) for name in VideoSettings.__slots__],
            **({"view": [VIEWER, str(self.view)]} if self.view else {}),
            **({"retry_over_budget": True} if self.retry_over_budget else {}),
            **{
                f"{kind}s": [[one.info.name, fingerprint(one)] for one in opened]
                for kind, opened in self.by_kind().items()
            },
        }

    def by_kind(self) -> dict[Kind, tuple[Opened, ...]]:
        """The plugins by kind, in the order of the stages."""
        return {"refiner": self.refiners, "generator": self.generators, "judge": self.judges}


def build_plan(config: RunConfig) -> Plan:
    """Construct the plugins, load the prompts and check that the run can start.

    Raises:
        ConfigError: If it cannot, with every problem that was found.
    """
    refiners, generators, judges = _open_matrix(config)
    prompts = _prompts(config, generators)
    plan = Plan(
        prompts,
        config.seeds,
        config.seed,
        config.settings,
        refiners,
        generators,
        judges,
        config.view,
        config.retry_over_budget,
    )
    if plan.retry_over_budget:
        check_counting(generators)
    problems = [
        problem
        for opened in (*refiners, *generators, *judges)
        if isinstance(opened.plugin, Preflight)
        for problem in opened.plugin.check(plan)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return plan


def _open_matrix(config: RunConfig) -> list[tuple[Opened, ...]]:
    """Open all plugins; what is wrong with any of them is said at once, not one by one."""
    specs: dict[Kind, tuple[Asked, ...]] = {
        "refiner": config.refiners,
        "generator": config.generators,
        "judge": config.judges,
    }
    opened, problems = [], []
    for kind, asked in specs.items():
        try:
            opened.append(_open_all(kind, asked))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return opened


def _open_all(kind: Kind, asked: Sequence[Asked]) -> tuple[Opened, ...]:
    opened = tuple(open_plugin(kind, each) for one in asked for each in _expanded(kind, one))
    seen: set[str] = set()
    for one in opened:
        if one.info.name in seen:
            raise ConfigError(
                f"Expected every {kind} to have its own name, but two are `{one.info.name}`. "
                f"Name one of them with `as`: {one.spec.name}:as=NAME"
            )
        _check_name(kind, one)
        seen.add(one.info.name)
    return opened


def _check_name(kind: Kind, opened: Opened) -> None:
    """Refuse names that would run into each other where results are filed by several names."""
    name = opened.info.name
    if not name.strip() or "|" in name or not name.isprintable():
        raise ConfigError(
            f"Expected the name of a {kind} to be printable and to hold no `|`, which separates "
            f"names in results, but got {name!r}. Name it with `as`: {opened.spec.name}:as=NAME"
        )


def _expanded(kind: Kind, asked: Asked) -> Sequence[Asked]:
    return expand(kind, asked) if isinstance(asked, PluginSpec) else [asked]


def _prompts(config: RunConfig, generators: Sequence[Opened]) -> PromptSet:
    if isinstance(config.prompts, tuple):
        return prompts_from_texts(config.prompts, "texts", config.limit)
    if config.prompts:
        return load_prompts(config.prompts, config.limit)
    bringing = [one.plugin for one in generators if isinstance(one.plugin, BringsPrompts)]
    if not bringing:
        return load_prompts(DEFAULT_PROMPTS, config.limit)
    texts = list(dict.fromkeys(text for plugin in bringing for text in plugin.prompts()))
    return prompts_from_texts(texts, "manifest", config.limit)


def warnings(plan: Plan) -> list[str]:
    """What a reader of the numbers has to know beforehand, one sentence each."""
    judges = {fingerprint(judge): judge.info.name for judge in plan.judges}
    selected = [
        f"Refiner `{opened.info.name}` selected its texts by `{judges[chosen]}`, which also judges "
        "this run: its scores there are too good. Compare it by another judge."
        for opened in plan.refiners
        if (chosen := opened.info.fingerprint.get("selection_judge_fingerprint")) in judges
    ]
    unasked = [
        f"Refiner `{opened.info.name}` cannot be asked for a shorter text: with its texts above a "
        "prompt budget each generator does what its `over_budget` says."
        for opened in plan.refiners
        if plan.retry_over_budget and not isinstance(opened.plugin, Shortener)
    ]
    remarks = [
        remark
        for opened in (*plan.refiners, *plan.generators, *plan.judges)
        if isinstance(opened.plugin, Remarks)
        for remark in opened.plugin.remarks(plan)
    ]
    return [*selected, *unasked, *_short_clips(plan), *remarks]


def _short_clips(plan: Plan) -> list[str]:
    """Which generators' clips end before the view does."""
    view = plan.view
    if view is None or view.seconds is None:
        return []
    return [
        f"Clips of `{opened.info.name}` last {seconds:g} s, less than the {view.seconds:g} s of "
        "the view. They are not padded: judges see less of them."
        for opened in plan.generators
        if (seconds := _native_seconds(plan, opened.info)) < view.seconds
    ]


def _native_seconds(plan: Plan, generator: PluginInfo) -> float:
    """How long a generator's clips last, infinite if it does not say."""
    frames, fps = (
        getattr(plan.settings, name) or getattr(generator.video, name, None)
        for name in ("frames", "fps")
    )
    return frames / fps if frames and fps else math.inf


def over_budget(plan: Plan) -> dict[str, int]:
    """How many of the known texts exceed each generator's prompt budget, by its own tokenizer."""
    found = {}
    for opened in plan.generators:
        budget = opened.info.prompt_budget
        if budget is not None and isinstance(opened.plugin, TokenCounter):
            texts = sorted({request.text for request in plan.known_requests()})
            found[opened.info.name] = sum(
                count > budget for count in opened.plugin.count_tokens(texts)
            )
    return found
