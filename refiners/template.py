"""The rule-based refiner: it recognises events in a prompt and states their lawful outcome.

The honest cheap baseline: no model, no network, no randomness. Its sentences are what a person who
knows some physics would add for any text-to-video model; the words it looks for are its own
(``template_events.json``) and know nothing of any generator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from phybench.machine.digest import code_digest, file_digest
from phybench.plugins.contracts import Failure, PluginInfo, Refinement

_EVENTS = Path(__file__).with_name("template_events.json")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class _Event:
    """An event that a prompt can hold.

    Args:
        name: For the record.
        cues: Each must be found: a pattern that matches any one of several words.
        outcome: What lawfully happens, one sentence.
    """

    name: str
    cues: tuple[re.Pattern[str], ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class _Rules:
    events: tuple[_Event, ...]
    unknown: str


class Template:
    """Keeps the user's words and appends one sentence: the lawful outcome of its event.

    The first event of its list that the prompt shows decides. A prompt without a known event gets a
    general sentence instead, which holds for whatever it shows; the refinement's ``meta["event"]``
    is then ``None``.
    """

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="template",
            revision="1",
            licence="Apache-2.0",
            fingerprint={
                "rules": file_digest(_EVENTS),
                "code": code_digest(Path(__file__).read_text("utf-8")),
            },
            max_batch=256,
            seeded=False,
            free=True,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Append what lawfully follows to each prompt; a blank prompt is a failure."""
        return [_refined(prompt) for prompt in prompts]


def _refined(prompt: str) -> Refinement | Failure:
    words = prompt.rstrip()
    if not words:
        return Failure("empty", "Expected a prompt with text, but got a blank one.")
    rules = _rules()
    event = _event(words, rules.events)
    outcome = event.outcome if event else rules.unknown
    stop = "" if words[-1] in ".!?…\"'" else "."
    return Refinement(
        text=f"{words}{stop} {outcome}",
        meta={"event": event.name if event else None},
    )


def _event(prompt: str, events: Sequence[_Event]) -> _Event | None:
    words = " ".join(_WORD.findall(prompt.lower()))
    return next((event for event in events if all(cue.search(words) for cue in event.cues)), None)


@cache
def _rules() -> _Rules:
    data = json.loads(_EVENTS.read_text("utf-8"))
    events = tuple(
        _Event(row["name"], tuple(_cue(words) for words in row["cues"]), row["outcome"])
        for row in data["events"]
    )
    return _Rules(events, data["unknown"])


def _cue(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words; a star at a word's end stands for any ending."""
    either = "|".join(word.replace("*", r"\w*") for word in words)
    return re.compile(rf"\b(?:{either})\b")
