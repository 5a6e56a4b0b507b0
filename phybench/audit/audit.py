"""The audit itself: pairs to the judge, preferences and invariance back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from phybench.audit.clips import COARSE_CRF, BrokenPair, Intact, stored, swapped_prompts
from phybench.audit.manipulations import INVARIANT, PHYSICAL, TEMPO, Change
from phybench.plugins.contracts import JudgeRequest, Score
from phybench.plugins.opened import Opened
from phybench.statistics.interval import Interval
from phybench.statistics.rates import arm_mean, wilson
from phybench.units.perform import perform
from phybench.units.unit import Unit

_BATCH = 32
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Preference:
    """How often a judge scores the intact clip above the broken one (or prompt above prompt).

    Args:
        name: The manipulation.
        kind: ``physical``, ``tempo``, ``violation`` (all by PC) or ``prompt`` (by SA).
        rate: Wins plus half the ties, over pairs with two scores; 0.5 is blind.
        interval: 95 % interval over clips.
        wins: Intact scored higher.
        ties: Equal scores.
        losses: Broken scored higher.
        unscored: Pairs of which at least one side has no score.
        declined: Of these, pairs whose intact side was scored: the judge refused the broken one.
        not_applicable: Clips in which the manipulation would break nothing.
    """

    name: str
    kind: str
    rate: float
    interval: Interval
    wins: int
    ties: int
    losses: int
    unscored: int
    declined: int
    not_applicable: int


@dataclass(frozen=True, slots=True)
class Invariance:
    """How often a verdict survives what should not matter.

    Args:
        name: The change.
        rate: Share of pairs with two scores whose SA and PC successes both stay the same.
        interval: 95 % Wilson interval.
        pairs: Pairs with two scores.
        unscored: Pairs of which one side lost its score.
        shift: Mean of |change| of SA and PC, in points of the judge's scale.
    """

    name: str
    rate: float
    interval: Interval
    pairs: int
    unscored: int
    shift: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Args:
        judge: Name of the judge.
        clips: Number of intact clips.
        unscored: Intact clips without a score.
        preferences: One per manipulation.
        invariances: One per harmless change.
        flags: What a user of the judge must know, one sentence each.
    """

    judge: str
    clips: int
    unscored: int
    preferences: tuple[Preference, ...]
    invariances: tuple[Invariance, ...]
    flags: tuple[str, ...] = field(default=())


def audit_judge(
    judge: Opened,
    clips: Sequence[Intact],
    violations: Iterable[BrokenPair] = (),
    *,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Audit:
    """Audit a judge.

    Args:
        judge: The judge.
        clips: Intact clips.
        violations: Pairs with a known violation, if there are any.
        seed: Seed of the manipulations.
        progress: Called with the name of each step.
    """
    with TemporaryDirectory(prefix="phybench-audit-") as temporary:
        folder = Path(temporary)
        intact = _judged_frames(
            judge, [(clip, clip.frames, clip.prompt) for clip in clips], folder, "intact"
        )
        preferences = [_prompt_swap(judge, clips, intact, folder)]
        for kind, changes in (("physical", PHYSICAL), ("tempo", TEMPO)):
            for name, change in changes.items():
                progress(name)
                preferences.append(
                    _broken(judge, clips, intact, (name, kind, change), folder, seed)
                )
        progress("violations")
        preferences += _violations(judge, violations, folder)
        invariances = []
        for name in INVARIANT:
            progress(name)
            invariances.append(_invariance(judge, clips, intact, name, folder, seed))
    flags = _flags(judge, intact, preferences, invariances)
    unscored = sum(score is None for score in intact)
    return Audit(
        judge.info.name, len(clips), unscored, tuple(preferences), tuple(invariances), tuple(flags)
    )


Scores = tuple[float, float]
_Task = tuple[Intact, NDArray[np.uint8], str]


def _judged_frames(
    judge: Opened, tasks: Sequence[_Task], folder: Path, label: str, crf: int | None = None
) -> list[Scores | None]:
    """SA and PC for each (clip, frames, prompt); ``None`` where there is no score."""
    found: list[Scores | None] = []
    size = max(1, min(_BATCH, judge.info.max_batch))
    for start in range(0, len(tasks), size):
        units = []
        for number, (clip, frames, prompt) in enumerate(tasks[start : start + size], start):
            name = f"{zlib.crc32(label.encode()):08x}-{number}"
            options = {} if crf is None else {"crf": crf}
            file = stored(frames, clip.fps, folder, name, **options)
            units.append(Unit(name, "judge", JudgeRequest(file, prompt)))
        results = perform("judge", judge.plugin, units, folder)
        found += [_numbers(result) for result in results]
        for path in folder.glob("*.mp4"):
            path.unlink()
    return found


def _numbers(result: object) -> Scores | None:
    if isinstance(result, Score) and result.sa is not None and result.pc is not None:
        return result.sa, result.pc
    return None


def _rng(seed: int, clip: Intact, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"{clip.name}|{name}".encode())])


def _broken(
    judge: Opened,
    clips: Sequence[Intact],
    intact: Sequence[Scores | None],
    manipulation: tuple[str, str, Change],
    folder: Path,
    seed: int,
) -> Preference:
    name, kind, change = manipulation
    tasks, before = [], []
    for clip, score in zip(clips, intact, strict=True):
        changed = change(clip.frames, _rng(seed, clip, name))
        if changed is not None:
            tasks.append((clip, changed, clip.prompt))
            before.append(score)
    after = _judged_frames(judge, tasks, folder, name)
    return preference(name, kind, before, after, 1, len(clips) - len(tasks))


def _prompt_swap(
    judge: Opened, clips: Sequence[Intact], intact: Sequence[Scores | None], folder: Path
) -> Preference:
    texts = swapped_prompts(clips)
    tasks = [(clip, clip.frames, text) for clip, text in zip(clips, texts, strict=True) if text]
    before = [score for score, text in zip(intact, texts, strict=True) if text]
    after = _judged_frames(judge, tasks, folder, "prompt swap")
    return preference("prompt swap", "prompt", before, after, 0, len(clips) - len(tasks))


def _violations(judge: Opened, pairs: Iterable[BrokenPair], folder: Path) -> list[Preference]:
    by_name: dict[str, list[BrokenPair]] = {}
    for pair in pairs:
        by_name.setdefault(pair.violation, []).append(pair)
    found = []
    for name, group in sorted(by_name.items()):
        lawful = [(pair.intact, pair.intact.frames, pair.intact.prompt) for pair in group]
        broken = [(pair.intact, pair.broken, pair.intact.prompt) for pair in group]
        before = _judged_frames(judge, lawful, folder, f"lawful {name}")
        after = _judged_frames(judge, broken, folder, f"broken {name}")
        found.append(preference(name, "violation", before, after, 1, 0))
    return found


def preference(
    name: str,
    kind: str,
    intact: Sequence[Scores | None],
    broken: Sequence[Scores | None],
    part: int,
    not_applicable: int,
) -> Preference:
    """Count preferences over pairs of (SA, PC); ``part`` is 0 for SA, 1 for PC."""
    gaps = [
        first[part] - second[part]
        for first, second in zip(intact, broken, strict=True)
        if first is not None and second is not None
    ]
    outcomes = np.array([0.5 + 0.5 * np.sign(gap) for gap in gaps])
    wins, ties = int((outcomes == 1).sum()), int((outcomes == 0.5).sum())
    n = len(outcomes)
    declined = sum(
        first is not None and second is None for first, second in zip(intact, broken, strict=True)
    )
    return Preference(
        name,
        kind,
        float(outcomes.mean()) if n else math.nan,
        wilson(float(outcomes.sum()), n),
        wins,
        ties,
        n - wins - ties,
        len(intact) - n,
        declined,
        not_applicable,
    )


def _invariance(
    judge: Opened,
    clips: Sequence[Intact],
    intact: Sequence[Scores | None],
    name: str,
    folder: Path,
    seed: int,
) -> Invariance:
    tasks = [
        (clip, frames, clip.prompt)
        for clip in clips
        if (frames := INVARIANT[name](clip.frames, _rng(seed, clip, name))) is not None
    ]
    crf = COARSE_CRF if name == "re-encoded" else None
    after = _judged_frames(judge, tasks, folder, name, crf)
    bar = judge.info.scale.success
    both = [(a, b) for a, b in zip(intact, after, strict=True) if a is not None and b is not None]
    lost = sum((a is None) != (b is None) for a, b in zip(intact, after, strict=True))
    same = sum(all((x >= bar) == (y >= bar) for x, y in zip(a, b, strict=True)) for a, b in both)
    moves = [[abs(x - y) for x, y in zip(a, b, strict=True)] for a, b in both]
    shift = arm_mean(np.array(moves)).mean if both else math.nan
    rate = same / len(both) if both else math.nan
    return Invariance(name, rate, wilson(same, len(both)), len(both), lost, shift)


def _flags(
    judge: Opened,
    intact: Sequence[Scores | None],
    preferences: Sequence[Preference],
    invariances: Sequence[Invariance],
) -> list[str]:
    flags = []
    seen = [score for score in intact if score is not None]
    compared = [one for one in preferences if one.wins + one.ties + one.losses]
    if not seen:
        return ["The judge scored none of the intact clips: it cannot be audited on them."]
    if compared and all(one.wins + one.losses == 0 for one in compared):
        return ["Constant: the judge never gave an intact and a broken clip different scores."]
    blind = [one.name for one in compared if one.interval.low <= 0.5]
    if blind:
        flags.append(f"Not shown to notice: {', '.join(blind)}.")
    unstable = [one.name for one in invariances if one.pairs and one.interval.high < 0.95]
    if unstable:
        flags.append(f"Verdicts change with: {', '.join(unstable)}.")
    mute = [one.name for one in preferences if one.unscored and not _scored(one)]
    if mute:
        flags.append(f"Never scored: {', '.join(mute)}.")
    return flags


def _scored(one: Preference) -> int:
    return one.wins + one.ties + one.losses


def shortfalls(found: Audit, preference_bar: float, invariance_bar: float) -> list[str]:
    """What stays below a bar, one sentence each; changes of tempo are not held against a judge."""
    return [
        f"{one.name}: preference {one.rate:.2f} < {preference_bar:g}"
        for one in found.preferences
        if one.kind != "tempo" and _scored(one) and one.rate < preference_bar
    ] + [
        f"{one.name}: invariance {one.rate:.2f} < {invariance_bar:g}"
        for one in found.invariances
        if one.pairs and one.rate < invariance_bar
    ]


def audit_json(found: Audit) -> Mapping[str, object]:
    """The audit as JSON values."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 6)

    return {
        "schema_version": 1,
        "judge": found.judge,
        "clips": found.clips,
        "unscored": found.unscored,
        "flags": list(found.flags),
        "preferences": [
            {
                "name": one.name,
                "kind": one.kind,
                "rate": number(one.rate),
                "low": number(one.interval.low),
                "high": number(one.interval.high),
                "wins": one.wins,
                "ties": one.ties,
                "losses": one.losses,
                "unscored": one.unscored,
                "declined": one.declined,
                "not_applicable": one.not_applicable,
            }
            for one in found.preferences
        ],
        "invariances": [
            {
                "name": one.name,
                "rate": number(one.rate),
                "low": number(one.interval.low),
                "high": number(one.interval.high),
                "pairs": one.pairs,
                "unscored": one.unscored,
                "shift": number(one.shift),
            }
            for one in found.invariances
        ],
    }
