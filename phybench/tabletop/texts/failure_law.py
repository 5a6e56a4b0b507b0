"""When the simulated generator breaks a law or loses what a text asks for: one documented table.

The numbers are our invention. They imitate what is reported of text-to-video models in general
(laws that the text leaves unsaid are broken often, stated outcomes are followed more often, long
texts lose content) and are measured on no model: results on this generator say nothing about any
real one.
"""

from __future__ import annotations

from collections.abc import Mapping

from phybench.tabletop.texts.language import Understanding, prevented_by
from phybench.tabletop.world.violations import breaches

HAZARD = 1.0
"""Sum over a family's violations of their probabilities, if the text states no outcome."""
WEIGHTS: Mapping[str, float] = {
    "levitates": 1.0,
    "falls_upward": 0.6,
    "gains_energy": 1.3,
    "vanishes": 0.7,
    "duplicates": 0.7,
    "teleports": 0.7,
    "passes_through": 1.1,
    "no_reaction": 1.3,
    "moves_untouched": 0.8,
    "freezes": 1.1,
    "morphs": 0.9,
    "liquid_disappears": 1.3,
    "liquid_grows": 1.3,
}
"""How the hazard is shared out among the violations that apply to a family."""
STATED = 0.2
"""Factor on that probability if the text states a lawful outcome that excludes the violation."""
LAPSES: Mapping[str, float] = {"event": 0.02, "object": 0.01, "colour": 0.03, "shape": 0.02}
"""Probability of each lapse of attention for a short text that begins with its subject."""
NOTHING = 0.4
"""Probability that a text without any thing gives an empty table."""
LONG_FROM, LONG_AT = 70, 270
"""Words at which a text begins to be too long, and at which the effect is full."""
LATE_FROM, LATE_AT = 25, 125
"""Words before the first thing at which it begins to drown, and at which the effect is full."""
LONG_LAPSES, LATE_LAPSES = 0.35, 0.30
"""What a fully too long and a fully drowned text add to the probability of every lapse."""


def load_failure_law(understanding: Understanding) -> float:
    """How far a text is too long, 0..1."""
    return _share(understanding.words, LONG_FROM, LONG_AT)


def lapse_probability(kind: str, understanding: Understanding) -> float:
    """Probability of a lapse.

    Args:
        kind: A key of :data:`LAPSES`.
        understanding: What was read.
    """
    late = _share(understanding.lead, LATE_FROM, LATE_AT)
    return LAPSES[kind] + LONG_LAPSES * load_failure_law(understanding) + LATE_LAPSES * late


def base_probabilities(family: str) -> dict[str, float]:
    """Probability of each violation that applies to a family, if the text states no outcome."""
    weights = {row.violation: WEIGHTS[row.violation] for row in breaches(family)}
    whole = sum(weights.values())
    return {violation: HAZARD * weight / whole for violation, weight in weights.items()}


def violation_probabilities(family: str, understanding: Understanding) -> dict[str, float]:
    """Probability of each violation that applies to a family, given what the text states.

    A stated outcome counts less the longer the text is: in a text that is fully too long it
    counts nothing.
    """
    excluded = {v for outcome in understanding.stated for v in prevented_by(outcome)}
    factor = STATED + (1.0 - STATED) * load_failure_law(understanding)
    return {
        violation: probability * (factor if violation in excluded else 1.0)
        for violation, probability in base_probabilities(family).items()
    }


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
