"""Chain-of-thought data: the triples of stage 1, their file format, their checks and their card.

A triple is what PhyPrompt's stage 1 learns from: the user's prompt, the physics thought through,
and the prompt that follows from it (arXiv 2603.03505, section on stage 1). The text form is that of
:mod:`phybench.refiners.rewriting.chain_of_thought`, which inference reads.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from phybench.errors import ConfigError
from phybench.machine.digest import text_digest, value_digest
from phybench.machine.files import write_text
from phybench.prompts.prompt_changes import find_changes
from phybench.prompts.prompt_sets import read_rows
from phybench.refiners.rewriting import chain_of_thought as reasoning
from phybench.refiners.rewriting.chain_of_thought import ChainOfThought, ReasoningFormatError

MAX_LOST = 0.34
"""Share of the user's content words that a target prompt may lose. Our choice."""
_FIELDS = ("prompt", "law", "motion", "forces", "materials", "environment", "refined")


@dataclass(frozen=True, slots=True)
class Triple:
    """One training sample of stage 1.

    Args:
        id: Stable identifier, unique in its set.
        prompt: The user's words.
        chain: The reasoning and the prompt that follows from it.
        source: Where it comes from.
    """

    id: str
    prompt: str
    chain: ChainOfThought
    source: str

    def as_json(self) -> dict[str, str]:
        """The triple as a row of a file; the target prompt is ``refined``."""
        chain = asdict(self.chain)
        return {
            "id": self.id,
            "prompt": self.prompt,
            **{name: chain[name] for name in _FIELDS[1:-1]},
            "refined": self.chain.prompt,
            "source": self.source,
        }

    @property
    def reply(self) -> str:
        """What the model is trained to answer."""
        return reasoning.write_chain(self.chain)


def triple(prompt: str, chain: ChainOfThought, source: str) -> Triple:
    """A triple whose id follows from its content."""
    return Triple(text_digest(prompt, reasoning.write_chain(chain))[:16], prompt, chain, source)


def read_triples(path: Path) -> list[Triple]:
    """Read a user's own triples: a jsonl (or csv, parquet) with the columns of :meth:`as_json`.

    ``id`` and ``source`` may be absent.

    Raises:
        ConfigError: If a row lacks a column, holds no text there, or breaks the format; the message
            names the row.
    """
    if not path.is_file():
        raise ConfigError(f"Expected chain-of-thought data at {str(path)!r}, but there is none.")
    return [_read(number, row, path) for number, row in enumerate(read_rows(path), 1)]


def _read(number: int, row: Mapping[str, Any], path: Path) -> Triple:
    where = f"row {number} of {path.name!r}"
    texts = {}
    for name in _FIELDS:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"Expected a text under `{name}` in {where}, but got {value!r}.")
        texts[name] = value.strip()
    prompt, refined = texts.pop("prompt"), texts.pop("refined")
    try:
        chain = ChainOfThought(**texts, prompt=refined)
    except ReasoningFormatError as error:
        raise ConfigError(f"Cannot use {where}: {error}") from error
    return triple(prompt, chain, str(row.get("source") or path.name))


def problem(sample: Triple, max_words: int) -> str:
    """Why a triple should not be trained on; empty if nothing speaks against it."""
    found = find_changes(sample.prompt, sample.chain.prompt)
    if found.words > max_words:
        return "too long"
    if found.refusal:
        return "refusal"
    if found.unchanged:
        return "prompt unchanged"
    content = len(find_changes(sample.prompt, "").lost_words)
    if found.lost_numbers or len(found.lost_words) > MAX_LOST * max(1, content):
        return "subject lost"
    return ""


def kept(samples: Sequence[Triple], max_words: int) -> tuple[list[Triple], dict[str, int]]:
    """The triples that pass the checks, each once, and how many fell for which reason."""
    good: dict[str, Triple] = {}
    reasons: Counter[str] = Counter()
    for sample in samples:
        reason = problem(sample, max_words) or ("duplicate" if sample.id in good else "")
        if reason:
            reasons[reason] += 1
        else:
            good[sample.id] = sample
    return list(good.values()), dict(reasons)


def data_digest(samples: Sequence[Triple]) -> str:
    """SHA-256 (hex) over the triples in order."""
    return value_digest({"rows": [sample.as_json() for sample in samples]})


def write_data(folder: Path, samples: Sequence[Triple], facts: Mapping[str, Any]) -> None:
    """Write ``cot.jsonl`` and its card ``cot-card.json``.

    Args:
        folder: Where; made if absent.
        samples: The triples that are trained on.
        facts: What else to say on the card (source, what was dropped, decontamination).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(sample.as_json(), ensure_ascii=False) for sample in samples]
    write_text(folder / "cot.jsonl", "\n".join(rows) + "\n")
    words = [len(sample.chain.prompt.split()) for sample in samples]
    card = {
        "rows": len(samples),
        "sha256": data_digest(samples),
        "prompts": len({sample.prompt for sample in samples}),
        "sources": dict(Counter(sample.source for sample in samples)),
        "mean_words": round(sum(words) / max(1, len(words)), 1),
        "format_version": reasoning.FORMAT_VERSION,
        **facts,
    }
    write_text(folder / "cot-card.json", json.dumps(card, indent=2, ensure_ascii=False) + "\n")
