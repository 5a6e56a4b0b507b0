"""``phybench refine``: rewrite prompts outside a benchmark."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phybench.cli.console import note
from phybench.cli.options import CacheFolder

if TYPE_CHECKING:
    from phybench.plugins.contracts import Failure, Prompt, Refinement
    from phybench.plugins.opened import Opened
    from phybench.plugins.spec import PluginSpec


def refine_command(
    text: Annotated[
        list[str] | None, typer.Argument(help="Prompts; `-` or nothing reads lines from stdin.")
    ] = None,
    refiner: Annotated[str, typer.Option("-r", "--refiner", help="Refiner SPEC.")] = "template",
    file: Annotated[
        str | None,
        typer.Option(
            *("-p", "--prompts", "--file"),
            help="Prompt set by name, or file (csv, tsv, jsonl, txt, parquet).",
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Refinements per prompt.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    generator: Annotated[
        str | None,
        typer.Option(
            "-g",
            "--generator",
            help="Write for this generator's prompt budget, and count tokens as it does.",
        ),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what was added and removed.")] = False,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Print the refiner's system prompt and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    cache: CacheFolder = None,
) -> None:
    """Rewrite prompts; one refined prompt per line on stdout.

    The texts are those of a run with the same prompts and seed, and neither makes them twice.
    """
    from phybench.errors import ConfigError
    from phybench.machine.folders import default_folder
    from phybench.planning.config import MAX_SEEDS
    from phybench.plugins.spec import parse_spec
    from phybench.running.refining import refine_prompts
    from phybench.units.cache import Cache
    from phybench.workers.opening import open_alone

    if not 1 <= n <= MAX_SEEDS:
        raise ConfigError(f"Expected `n` to be in 1..{MAX_SEEDS}, but got {n}.")
    counter = None if generator is None else _counter(generator)
    spec = _within_budget(parse_spec(refiner), counter)
    if show_prompt:
        typer.echo(_system_prompt(spec))
        return
    opened = open_alone("refiner", spec)
    prompts = _prompts(text, file)
    with Cache(cache or default_folder()) as units:
        results = refine_prompts(opened, prompts, n=n, seed=seed, cache=units)
    texts = [prompt.text for prompt in prompts for _ in range(n)]
    counts = _token_counts(counter, results)
    failed = False
    for prompt, result, tokens in zip(texts, results, counts, strict=True):
        failed |= _show(prompt, result, tokens, as_json=as_json, diff=diff)
    if failed:
        raise typer.Exit(1)


def _counter(generator: str) -> Opened:
    from phybench.errors import ConfigError
    from phybench.plugins.abilities import TokenCounter
    from phybench.plugins.spec import parse_spec
    from phybench.workers.opening import open_plugin

    opened = open_plugin("generator", parse_spec(generator))
    if not isinstance(opened.plugin, TokenCounter):
        raise ConfigError(f"Generator `{generator}` does not count tokens.")
    return opened


def _within_budget(spec: PluginSpec, generator: Opened | None) -> PluginSpec:
    """The refiner's SPEC with the generator's budget, where it takes one and none is given."""
    from phybench.plugins.registry import with_default
    from phybench.prompts.length_budget import length_budget

    budget = None if generator is None else length_budget(generator)
    return spec if budget is None else with_default("refiner", spec, "budget", budget)


def _system_prompt(spec: PluginSpec) -> str:
    """What the refiner's model is told; nothing is sent, so neither key nor service is needed."""
    from dataclasses import replace

    from phybench.errors import ConfigError
    from phybench.plugins.registry import accepts, create

    unused = {name: "" for name in ("key_env", "retires") if accepts("refiner", spec, name)}
    plugin = create("refiner", replace(spec, options={**spec.options, **unused}))
    prompt = getattr(plugin, "system_prompt", None)
    if not isinstance(prompt, str):
        raise ConfigError(f"Refiner `{spec.name}` has no system prompt to show.")
    return prompt


def _prompts(text: list[str] | None, file: str | None) -> list[Prompt]:
    from phybench.errors import ConfigError
    from phybench.plugins.contracts import Prompt
    from phybench.prompts.prompt_sets import check_text, load_prompts
    from phybench.prompts.seeds import text_id

    if file is not None:
        if text:
            raise ConfigError("Expected prompts or `--file`, but got both.")
        return list(load_prompts(file).prompts)
    if text and text != ["-"]:
        named = [(each, f"prompt {number}") for number, each in enumerate(text, 1)]
        return [Prompt(text_id(each), check_text(each, where)) for each, where in named]
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    kept = [Prompt(text_id(line), check_text(line, "stdin")) for line in lines if line.strip()]
    if not kept:
        raise ConfigError("Expected prompts as arguments, on stdin or with `--file`; got none.")
    return kept


def _token_counts(
    generator: Opened | None, results: Sequence[Refinement | Failure]
) -> list[tuple[int, int | None] | None]:
    """Per result, tokens as the generator counts them and its budget."""
    from phybench.plugins.contracts import Refinement

    if generator is None:
        return [None] * len(results)
    count, budget = generator.plugin.count_tokens, generator.info.prompt_budget
    return [
        (count([result.text])[0], budget) if isinstance(result, Refinement) else None
        for result in results
    ]


def _show(
    prompt: str,
    result: Refinement | Failure,
    tokens: tuple[int, int | None] | None,
    *,
    as_json: bool,
    diff: bool,
) -> bool:
    """Write one result; True if it is a failure."""
    import json

    from phybench.plugins.contracts import Failure
    from phybench.units.codec import plain

    failed = isinstance(result, Failure)
    if as_json:
        row = {"prompt": prompt, "status": "failed" if failed else "ok", **plain(result)}
        if tokens is not None:
            row |= {"generator_tokens": tokens[0], "generator_budget": tokens[1]}
        typer.echo(json.dumps(row, ensure_ascii=False))
        return failed
    if isinstance(result, Failure):
        note(f"error: {prompt[:60]!r}: {result.kind}: {result.message}")
        return True
    one_line = " ".join(result.text.split())
    typer.echo(_difference(prompt, one_line) if diff else one_line)
    if tokens is not None and tokens[1] is not None and tokens[0] > tokens[1]:
        note(f"{tokens[0]} tokens, {tokens[0] - tokens[1]} over the generator's {tokens[1]}.")
    return False


def _difference(before: str, after: str) -> str:
    """Words removed as [-…-] and added as {+…+}."""
    import difflib

    old, new = before.split(), after.split()
    parts = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(" ".join(old[a:b]))
            continue
        if a < b:
            parts.append(f"[-{' '.join(old[a:b])}-]")
        if c < d:
            parts.append(f"{{+{' '.join(new[c:d])}+}}")
    return " ".join(parts)
