"""Semantic adherence: are the things and the event of the user's prompt there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from .seeing.appearance import Seen

if TYPE_CHECKING:
    from phybench.tabletop.texts.language import Understanding


@dataclass(frozen=True, slots=True)
class Match:
    """How much of what was asked for is seen.

    Args:
        event: The event can be the one that was asked for.
        right, wrong: Colours and shapes that are and are not as asked.
        wrong_sizes: Things of another size.
    """

    event: bool
    right: int
    wrong: int
    wrong_sizes: int

    @property
    def score(self) -> int:
        """SA in 1..5: all, all but a size, the event, some of the things, nothing.

        5 everything asked for; 4 all but a size; 3 the event with some of the things wrong;
        2 the event with nothing right, or all the things in another event; 1 less than that.
        """
        if self.event and not self.wrong:
            return 4 if self.wrong_sizes else 5
        if self.event:
            return 3 if self.right else 2
        return 2 if self.right and not self.wrong else 1


def match(asked: Understanding, events: frozenset[str], seen: Sequence[Seen]) -> Match:
    """Compare what a prompt asks for with what is seen, thing by thing.

    Roles cannot be seen in every event, so each thing asked for is paired with a thing seen in
    the way that agrees best.
    """
    event = (asked.family or "still") in events
    if asked.outcome and asked.family == "buoyancy":
        event = event and asked.outcome in events
    wants = [(want.shape, want.colour, want.size) for want in asked.wants]
    best = max(
        (_count(wants, order) for order in _pairings(len(wants), list(seen))),
        key=lambda counts: (counts[0] - counts[1], -counts[2]),
    )
    return Match(event, *best)


def _pairings(wanted: int, seen: list[Seen]) -> list[tuple[Seen | None, ...]]:
    """All ways to give each wanted thing one of the seen things, or none."""
    pool: list[Seen | None] = [*seen[:6], *[None] * wanted]
    return list(dict.fromkeys(permutations(pool, wanted)))


def _count(
    wants: Sequence[tuple[str, str, str]], given: Sequence[Seen | None]
) -> tuple[int, int, int]:
    """Right and wrong colours and shapes, and wrong sizes."""
    right = wrong = sizes = 0
    for (shape, colour, size), thing in zip(wants, given, strict=True):
        for asked, ok in (
            (shape, thing is not None and shape in thing.shapes),
            (colour, thing is not None and colour == thing.colour),
        ):
            right += bool(asked) and ok
            wrong += bool(asked) and not ok
        sizes += bool(size) and (thing is None or thing.size != size)
    return right, wrong, sizes
