"""Judge `kinematic`: measures motion in the pixels of simple scenes and checks it against laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phybench.machine.digest import code_digest
from phybench.plugins.contracts import LIKERT, Failure, JudgeRequest, PluginInfo, Score
from phybench.tabletop.fingerprint import READING, world_digest

if TYPE_CHECKING:
    from .assess import Assessment
    from .thresholds import Thresholds

DOUBTFUL, CLEAR, BLATANT = 1.05, 1.5, 3.0
"""Magnitudes (multiples of the threshold) at which PC changes; our choice."""


class Kinematic:
    """Scores clips of things that move before a still background, from their pixels alone.

    PC says whether measured motions obey gravity, conservation of energy and momentum, solidity
    and persistence; SA whether the things and the event of the user's prompt are there. Clips
    that cannot be measured (moving camera, cuts, real footage, too short) and prompts whose
    words it does not know come back unscored. It reads the clip's file and the user's prompt,
    never ``clip.meta``. For simple scenes only: see ``docs/kinematic.md``.
    """

    def __init__(self) -> None:
        self.info = PluginInfo(
            name="kinematic",
            revision="1",
            licence="Apache-2.0",
            fingerprint=_fingerprint(),
            max_batch=32,
            scale=LIKERT,
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score each clip; a file that cannot be read is a Failure of kind ``decode``."""
        return [_score(request) for request in requests]


@cache
def _fingerprint() -> Mapping[str, Any]:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return {
        "rules": code_digest(*(path.read_text("utf-8") for path in sources)),
        "reading": world_digest(READING),
        "numpy": metadata.version("numpy"),
        "scipy": metadata.version("scipy"),
        "av": metadata.version("av"),
    }


def _score(request: JudgeRequest) -> Score | Failure:
    from phybench.video.video_file import VideoError, read_frames

    from .assess import assess
    from .thresholds import Thresholds

    if request.clip.path is None:
        return Score.unscored("there is no video file to look at")
    try:
        frames, fps = read_frames(request.clip.path)
    except VideoError as error:
        return Failure("decode", str(error))
    limits = Thresholds()
    return judge(assess(frames, fps, limits), request.prompt, limits)


def judge(assessment: Assessment, prompt: str, limits: Thresholds) -> Score:
    """Turn measurements and the user's prompt into a score."""
    from phybench.tabletop.texts.language import understand

    from .adherence import match
    from .motion.events import possible_events
    from .seeing.appearance import looks

    if assessment.reason or assessment.observation is None or assessment.kinds is None:
        return Score.unscored(assessment.reason, details={"noise": round(assessment.noise, 2)})
    pc = physical_commonsense(assessment)
    details = describe_assessment(assessment) | {"pc": pc}
    asked = understand(prompt)
    if not asked.family and not asked.wants:
        return Score.unscored("the prompt asks for nothing that this judge knows", details=details)
    events = possible_events(assessment.observation, assessment.kinds, limits)
    seen = looks(assessment.observation, assessment.kinds, limits)
    found = match(asked, events, seen)
    details |= {
        "events": sorted(events),
        "things": [{**asdict(thing), "shapes": sorted(thing.shapes)} for thing in seen],
        "match": asdict(found),
    }
    return Score(float(found.score), pc, reply=_reply(assessment), details=details)


def physical_commonsense(assessment: Assessment) -> float:
    """PC in 1..5 from the measured violations.

    5 none; 4 one that exceeds its limit by less than a twentieth, as compression alone may do;
    3 one by less than a half; 2 a clear one; 1 a blatant one, or several.
    """
    strongest = max((finding.magnitude for finding in assessment.findings), default=0.0)
    clear = {finding.id for finding in assessment.findings if finding.magnitude >= DOUBTFUL}
    if not clear:
        return 4.0 if assessment.findings else 5.0
    if len(clear) > 1 or strongest > BLATANT:
        return 1.0
    return 3.0 if strongest < CLEAR else 2.0


def describe_assessment(assessment: Assessment) -> dict[str, Any]:
    """The measurements as JSON values."""
    return {
        "violations": [
            {
                "id": finding.id,
                "frame": int(finding.frame),
                "thing": int(finding.thing),
                "magnitude": round(float(min(finding.magnitude, 1e6)), 3),
                "evidence": finding.evidence,
            }
            for finding in assessment.findings
        ],
        "gravity": None if assessment.gravity is None else round(float(assessment.gravity), 3),
        "noise": round(assessment.noise, 2),
    }


def _reply(assessment: Assessment) -> str:
    if not assessment.findings:
        return "no violation measured"
    return "; ".join(f"{finding.id} at frame {finding.frame}: {finding.evidence}"
                     for finding in assessment.findings)  # fmt: skip
