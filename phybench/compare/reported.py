"""Published tables: what their numbers can carry, given how many prompts they rest on.

No per-item scores are published, so the paired test that would settle a claim cannot be run. What
can be said: the interval as if the arms were independent, and how few prompts must have changed
their outcome for a paired test to call the difference significant.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from phybench.errors import ConfigError
from phybench.statistics.interval import Interval
from phybench.statistics.mcnemar import mcnemar
from phybench.statistics.multiplicity import holm
from phybench.statistics.rates import wilson

COLUMNS = (
    "study",
    "generator",
    "refiner",
    "measure",
    "percent",
    "n",
    "judge",
    "source",
    "confidence",
    "note",
)
SUBJECT = "PhyPrompt-7B"
ALPHA = 0.05
USUAL_DISCORDANCE = 0.2
"""Share of prompts whose outcome differs between two arms that we take as normal at least; our
choice, it decides between two wordings and nothing else."""


@dataclass(frozen=True, slots=True)
class ReportedRate:
    """A published success rate.

    Args:
        study: Table of the source: ``main``, ``transfer`` or ``ablation``.
        generator: As the source names it.
        refiner: As the source names it.
        measure: ``sa``, ``pc`` or ``joint``.
        rate: In 0..1.
        n: Prompts behind it.
        judge: As the source names it.
        source: Where it is printed.
        confidence: ``high``, ``medium`` or ``low``.
        note: Remark on the number.
        interval: What ``n`` implies, if each prompt was judged once.
    """

    study: str
    generator: str
    refiner: str
    measure: str
    rate: float
    n: int
    judge: str
    source: str
    confidence: str
    note: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class Claim:
    """A published difference and whether its sample size supports it.

    Args:
        subject: The refiner that is claimed to be better.
        other: What it is compared with.
        difference: Difference of the rates.
        interval: 95 % interval as if the two samples were independent (Newcombe).
        p_adjusted: Two-sample test, Holm-adjusted over the claims of this study and measure.
        discordance: Largest share of prompts with changed outcome at which the exact paired test
            is significant at the Bonferroni level of those claims; 0 if it never is.
        verdict: ``supported``, ``undecided`` or ``reversed``.
    """

    subject: ReportedRate
    other: ReportedRate
    difference: float
    interval: Interval
    p_adjusted: float
    discordance: float
    verdict: str


def paper_table() -> Path:
    """The bundled table of the PhyPrompt paper."""
    return Path(str(files("phybench.compare"))) / "phyprompt-paper.csv"


def read_reported(path: Path) -> tuple[ReportedRate, ...]:
    """Read a table of published rates.

    Raises:
        ConfigError: If the file is absent, lacks a column, or a number is none.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(f"Cannot read {str(path)!r}: {error}.") from error
    if not rows or set(COLUMNS) - set(rows[0]):
        raise ConfigError(f"Expected columns {', '.join(COLUMNS)} in {str(path)!r}.")
    return tuple(_rate(row, number, path) for number, row in enumerate(rows, 2))


def _rate(row: dict[str, str], number: int, path: Path) -> ReportedRate:
    try:
        rate, n = float(row["percent"]) / 100, int(row["n"])
        interval = wilson(rate * n, n)
    except ValueError as error:
        raise ConfigError(f"Line {number} of {str(path)!r}: {error}") from error
    texts = {name: row[name] for name in COLUMNS if name not in {"percent", "n"}}
    return ReportedRate(rate=rate, n=n, interval=interval, **texts)


def claims(rates: Sequence[ReportedRate], subject: str = SUBJECT) -> tuple[Claim, ...]:
    """Every comparison of the subject with another refiner on one generator and measure.

    The ablation rows are compared with its full recipe, whose name begins with the subject's.
    """
    pairs = [
        (mine, other)
        for mine in rates
        if mine.refiner in {subject, f"{subject}, dynamic reward"}
        for other in rates
        if (other.study, other.generator, other.measure)
        == (mine.study, mine.generator, mine.measure)
        and other is not mine
    ]
    families: dict[tuple[str, str], list[tuple[ReportedRate, ReportedRate]]] = {}
    for mine, other in pairs:
        families.setdefault((mine.study, mine.measure), []).append((mine, other))
    return tuple(claim for family in families.values() for claim in _claims(family))


def _claims(family: Sequence[tuple[ReportedRate, ReportedRate]]) -> list[Claim]:
    tests = [_independent(mine, other) for mine, other in family]
    adjusted = holm([p for _, p in tests])
    return [
        _claim(mine, other, interval, float(p), ALPHA / len(family))
        for (mine, other), (interval, _), p in zip(family, tests, adjusted, strict=True)
    ]


def _independent(mine: ReportedRate, other: ReportedRate) -> tuple[Interval, float]:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    counts = (round(mine.rate * mine.n), round(other.rate * other.n))
    low, high = confint_proportions_2indep(
        counts[0], mine.n, counts[1], other.n, compare="diff", method="newcomb"
    )
    p = proportions_ztest(counts, (mine.n, other.n))[1]
    return Interval(float(low), float(high), 0.95, "Newcombe, independent samples"), float(p)


def _claim(
    mine: ReportedRate, other: ReportedRate, interval: Interval, p: float, alpha: float
) -> Claim:
    difference = mine.rate - other.rate
    direction = "supported" if difference > 0 else "reversed"
    verdict = direction if p <= ALPHA else "undecided"
    discordance = _pairing_needed(difference, mine.n, alpha)
    return Claim(mine, other, difference, interval, p, discordance, verdict)


def _pairing_needed(difference: float, n: int, alpha: float) -> float:
    """Largest discordance at which the exact McNemar test finds the difference."""
    lead = round(abs(difference) * n)
    if not lead or mcnemar(lead, 0) > alpha:
        return 0.0
    losses = 0
    while lead + 2 * (losses + 1) <= n and mcnemar(lead + losses + 1, losses + 1) <= alpha:
        losses += 1
    return (lead + 2 * losses) / n


def claim_sentence(claim: Claim) -> str:
    """What the published numbers say about a claim, in words."""
    low, high = 100 * claim.interval.low, 100 * claim.interval.high
    head = (
        f"{claim.subject.refiner} against {claim.other.refiner} on {claim.subject.generator}, "
        f"{claim.subject.measure}: reported {100 * claim.difference:+.1f} points, "
        f"95 % interval [{low:+.1f}, {high:+.1f}] at N = {claim.subject.n}"
    )
    low_confidence = claim.other.confidence == "low" or claim.subject.confidence == "low"
    doubt = " (the source prints the number with ~)" if low_confidence else ""
    if claim.verdict == "supported":
        return f"{head}: more than noise even if the arms were independent samples{doubt}."
    if claim.verdict == "reversed":
        return f"{head}: lower by more than noise{doubt}."
    if not claim.discordance:
        return f"{head}: not more than noise under any pairing{doubt}."
    share = 100 * claim.discordance
    if claim.discordance >= USUAL_DISCORDANCE:
        return (
            f"{head}: the table does not settle it; a paired test would, if at most {share:.0f} % "
            f"of the prompts changed their outcome{doubt}."
        )
    return (
        f"{head}: not supported by N = {claim.subject.n}; a paired test would only find it if at "
        f"most {share:.0f} % of the prompts changed their outcome{doubt}."
    )
