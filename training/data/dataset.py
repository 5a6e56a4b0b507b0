"""Stage 1's data as a recipe asks for it: built, checked, cleaned of evaluation prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.prompts.embeddings import DEFAULT_MODEL, load_embedder
from phybench.prompts.prompt_sets import load_prompts
from phybench.units.cache import Cache

from ..recipe.parts import Data
from ..recipe.recipe import Recipe
from .decontamination import Closeness, without_test_prompts
from .triples import Triple, kept, read_triples


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is ready for training.

    Args:
        samples: The triples.
        facts: For the card: source, what was dropped and why, what was decontaminated against.
    """

    samples: tuple[Triple, ...]
    facts: dict[str, Any]


def prepare(recipe: Recipe, cache: Cache) -> Prepared:
    """Build the data of a recipe.

    Raises:
        ConfigError: If the recipe lacks what its source needs, or nothing is left.
    """
    data = recipe.data
    made, failed = _build(data, cache, recipe.seed)
    good, dropped = kept(made[: data.limit], data.max_words)
    closeness, looked = _closeness(data)
    cleaned = without_test_prompts(good, data.decontaminate, data.ngram, closeness)
    if not cleaned.samples:
        raise ConfigError(
            f"Expected `data` of the recipe to give samples, but none of {len(made)} is left: "
            f"{dropped | failed}, {cleaned.exact + cleaned.overlapping + cleaned.similar} repeat "
            "evaluation prompts."
        )
    facts = {
        "source": data.source,
        "teacher": data.teacher,
        "seed": recipe.seed,
        "built": len(made),
        "failed": failed,
        "dropped": dropped,
        "decontamination": {
            "against": cleaned.against,
            "exact": cleaned.exact,
            "ngram": cleaned.overlapping,
            "ngram_words": data.ngram,
            "similar": cleaned.similar if closeness else None,
            "similarity": looked,
        },
    }
    return Prepared(cleaned.samples, facts)


def _closeness(data: Data) -> tuple[Closeness | None, str]:
    """How closeness in meaning is told, and what the card says of it.

    A model that the recipe names must be there; the default one is used if it is.

    Raises:
        ConfigError: If the recipe's model cannot be loaded.
    """
    if data.similarity is None:
        return None, "not run: `data.similarity` is null"
    if not data.decontaminate:
        return None, "not run: `data.decontaminate` is empty"
    try:
        embed = load_embedder(data.similarity_model)
    except ConfigError as error:
        if data.similarity_model:
            raise
        return None, f"not run: {error}"
    model = data.similarity_model or DEFAULT_MODEL
    return Closeness(embed, data.similarity), f"cosine ≥ {data.similarity:g} by {model}"


def _build(data: Data, cache: Cache, seed: int) -> tuple[list[Triple], dict[str, int]]:
    if data.source == "jsonl":
        return read_triples(_path(data, "triples")), {}
    if data.source == "tabletop":
        from .from_tabletop import tabletop_triples

        prompts = load_prompts(data.prompts).prompts
        return tabletop_triples(prompts, data.variants, seed), {}
    from .from_teacher import ask_teacher, explain_phygenbench

    if not data.teacher:
        raise ConfigError(
            f"Expected `data.teacher` with `data.source` = {data.source}: the SPEC of a refiner "
            "that writes the reasoning."
        )
    if data.source == "teacher":
        taught = ask_teacher(data.teacher, load_prompts(data.prompts).prompts, cache, seed)
    else:
        path = _path(data, "PhyGenBench's explicit_prompts.json")
        taught = explain_phygenbench(data.teacher, path, cache, seed)
    return list(taught.triples), dict(taught.failed)


def _path(data: Data, what: str) -> Path:
    if not data.path:
        raise ConfigError(
            f"Expected `data.path` with `data.source` = {data.source}: the file with {what}. "
            "Give it with --set data.path=FILE."
        )
    return Path(data.path).expanduser()
