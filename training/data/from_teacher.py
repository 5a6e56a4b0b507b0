"""Chain-of-thought triples whose reasoning a teacher writes: any refiner plugin.

Every answer goes through the harness's cache, so a build that was interrupted, or that is repeated,
asks and pays only for what is missing. An answer that is not in the format is counted and dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phybench.errors import ConfigError
from phybench.plugins.abilities import Closing
from phybench.plugins.contracts import Prompt, Refinement
from phybench.plugins.opened import Opened
from phybench.plugins.spec import parse_spec
from phybench.prompts.seeds import item_seed
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, ReasoningFormatError, parse
from phybench.units.cache import Cache
from phybench.units.keys import fingerprint, refinement_key
from phybench.units.perform import perform
from phybench.units.unit import Unit
from phybench.workers.opening import open_alone

from .triples import Triple, triple


@dataclass(frozen=True, slots=True)
class Taught:
    """What a teacher gave.

    Args:
        triples: In the order of the prompts.
        failed: Prompts without a usable answer, by reason.
    """

    triples: tuple[Triple, ...]
    failed: Mapping[str, int]


def ask_teacher(spec: str, prompts: Sequence[Prompt], cache: Cache, seed: int) -> Taught:
    """Let a refiner write reasoning and target for each prompt.

    Its reasoning must be the five labelled lines of
    :mod:`phybench.refiners.rewriting.chain_of_thought`, which a chat model writes
    when it is given ``instructions=`` with ``cot-teacher-v1.md``.

    Raises:
        ConfigError: If the refiner cannot be opened.
    """
    answers = _answers(spec, [(prompt.id, prompt.text) for prompt in prompts], cache, seed)
    return _collected([(prompt.text, "", answers[prompt.id]) for prompt in prompts], spec)


def explain_phygenbench(spec: str, path: Path, cache: Cache, seed: int) -> Taught:
    """Let a refiner write the reasoning from PhyGenBench's captions to its explicit captions.

    Args:
        spec: The teacher.
        path: PhyGenBench's ``explicit_prompts.json``: rows with ``caption``, ``physical_laws`` and
            ``explicit_caption``. It has no licence, so it is never bundled or copied.
        cache: The harness's cache.
        seed: Of the teacher.

    Raises:
        ConfigError: If the file is not that, or the refiner cannot be opened.
    """
    rows = _phygenbench(path)
    questions = [(f"phygenbench-{number}", _question(row)) for number, row in enumerate(rows)]
    answers = _answers(spec, questions, cache, seed)
    found = [
        (row["caption"], row["explicit_caption"], answers[name])
        for row, (name, _) in zip(rows, questions, strict=True)
    ]
    return _collected(found, f"phygenbench+{spec}")


def _phygenbench(path: Path) -> list[dict[str, str]]:
    keys = ("caption", "physical_laws", "explicit_caption")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Cannot read PhyGenBench's prompts from {str(path)!r}: {error}."
        ) from error
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"Expected a list of prompts in {str(path)!r}.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
            raise ConfigError(
                f"Expected the texts {', '.join(keys)} in row {number} of {str(path)!r}. The file "
                "to give is PhyGenBench's explicit_prompts.json."
            )
    return [{key: " ".join(row[key].split()) for key in keys} for row in rows]


def _question(row: Mapping[str, str]) -> str:
    return (
        f"User's prompt: {row['caption']} Law: {row['physical_laws']} "
        f"Rewritten prompt, to be repeated unchanged: {row['explicit_caption']}"
    )


def _answers(
    spec: str, questions: Sequence[tuple[str, str]], cache: Cache, seed: int
) -> dict[str, object]:
    teacher = open_alone("refiner", parse_spec(spec))
    mark = fingerprint(teacher)
    answers: dict[str, object] = {}
    open_requests: list[tuple[str, Unit]] = []
    for name, text in questions:
        own = item_seed(seed, name, 0)
        key = refinement_key(mark, teacher.info, text, own)
        known = cache.get(key)
        answers[name] = known
        if known is None:
            open_requests.append((name, Unit(key, "refine", text, own)))
    size = teacher.info.max_batch
    for start in range(0, len(open_requests), size):
        answers |= _ask(teacher, open_requests[start : start + size], cache)
    if isinstance(teacher.plugin, Closing):
        teacher.plugin.close()
    return answers


def _ask(teacher: Opened, batch: Sequence[tuple[str, Unit]], cache: Cache) -> dict[str, object]:
    units = [unit for _, unit in batch]
    results = perform("refiner", teacher.plugin, units, cache.folder / "clips")
    cache.put(
        (unit.key, result)
        for unit, result in zip(units, results, strict=True)
        if isinstance(result, Refinement)
    )
    return {name: result for (name, _), result in zip(batch, results, strict=True)}


def _collected(found: Sequence[tuple[str, str, object]], source: str) -> Taught:
    triples: list[Triple] = []
    failed: dict[str, int] = {}
    for prompt, target, answer in found:
        try:
            triples.append(triple(prompt, _chain(answer, target), source))
        except ReasoningFormatError:
            kind = "format" if isinstance(answer, Refinement) else "teacher failed"
            failed[kind] = failed.get(kind, 0) + 1
    return Taught(tuple(triples), failed)


def _chain(answer: object, target: str) -> ChainOfThought:
    if not isinstance(answer, Refinement):
        raise ReasoningFormatError("Expected an answer of the teacher, but it failed.")
    return parse(f"{answer.reasoning.strip()}\nPrompt: {target or answer.text}")
