"""What a refiner, a generator and a judge are: the types that plugins and harness exchange.

A plugin is any class whose keyword arguments are its options and that has an ``info`` and the one
method of its kind. Constructors are cheap and check everything they can (files, keys, extras),
raising :class:`~phybench.errors.ConfigError`; weights are loaded on first use, because the harness
constructs plugins in the parent process to describe them and again in the process that runs them.

A call that cannot give a result for one input returns a :class:`Failure` in its place. A failure
is never a score, never an empty text and never an exception that takes its neighbours with it.
Every method is batch-first, returns one result per input in the same order, and gives the same
result for an input whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Prompt:
    """A user's text, the thing that semantic adherence is judged against.

    Args:
        id: Stable identifier, unique in its set.
        text: The user's words, unchanged.
        meta: Further columns of the prompt file (category, action, ...), kept for reports.
    """

    id: str
    text: str
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a refiner made of a prompt.

    Args:
        text: The rewritten prompt that the generator receives; never empty.
        reasoning: The chain of thought before it, where the refiner gives one.
        tokens: Completion tokens in the refiner's own tokenizer, if it counts them.
        finish_reason: Why the text ended (``stop``, ``length``, ...).
        cost_usd: What the call cost, in US dollars.
        meta: Anything else worth recording (JSON values only).
    """

    text: str
    reasoning: str = ""
    tokens: int | None = None
    finish_reason: str = "stop"
    cost_usd: float = 0.0
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One input for which a plugin has no result, and why.

    Args:
        kind: A short stable word: ``parse``, ``refusal``, ``timeout``, ``decode``, ``crash``, ...
        message: What happened, for a person.
        retryable: Whether trying the same input again later may succeed. The harness retries
            such failures when the same command is run again; others stay as they are.
        reply: The raw reply that could not be used, if there was one.
    """

    kind: str
    message: str
    retryable: bool = False
    reply: str = ""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """A run's wishes for every clip; ``None`` means the generator's native value.

    Args:
        frames: Number of frames.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.
    """

    frames: int | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """One clip to generate.

    Args:
        text: The refinement's text.
        seed: Seed in [0, 2**31), the same for every arm at the same prompt and repeat.
        k: Index of the repeat, 0-based: which of a prompt's clips this is.
        settings: The run's video settings.
    """

    text: str
    seed: int
    k: int = 0
    settings: VideoSettings = VideoSettings()


@dataclass(frozen=True, slots=True)
class Frames:
    """A generated video as pixels; the harness encodes and stores it.

    Args:
        frames: Array of shape (T, H, W, 3), uint8 RGB, T >= 1, H and W even.
        fps: Frames per second, > 0.
        meta: What the generator knows of the clip (JSON values only), e.g. ground truth.
    """

    frames: NDArray[np.uint8]
    fps: float
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A generated video as a file.

    Args:
        path: The encoded video.
        source: The name that labels and reports know the clip by (a manifest's path or url).
        move: True if the harness shall move the file into its cache (a temporary download);
            False if it shall be read where it lies.
        meta: What the generator knows of the clip (JSON values only).
    """

    path: Path
    source: str = ""
    move: bool = True
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoVideo:
    """A clip that is known by name only, for labels that come without the video.

    Args:
        source: The name that the labels know the clip by.
        meta: What is known of the clip (JSON values only).
    """

    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clip:
    """A stored clip, as judges receive it.

    Args:
        path: The video file, or ``None`` when only its name is known (:class:`NoVideo`).
        sha256: Digest of the file's bytes, or of the source name when there is no file.
        source: The name that labels know the clip by; empty for generated clips.
        frames: Number of frames that can be decoded; 0 without a file.
        fps: Frames per second; 0 without a file.
        width: Pixels.
        height: Pixels.
        meta: What the generator said of the clip. Ground truth lies here, for the ``oracle`` only:
            a judge that claims to look at pixels must not read it.
    """

    path: Path | None
    sha256: str
    source: str = ""
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """One clip to judge.

    Args:
        clip: The clip.
        prompt: The **user's** prompt, never the refinement.
        rules: Physical rules to check one by one, for judges that can.
    """

    clip: Clip
    prompt: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """How a judge's numbers read.

    Args:
        low: Lowest legal value.
        high: Highest legal value.
        success: A value at or above this is a success.
    """

    low: float
    high: float
    success: float


LIKERT = Scale(1, 5, 4)
"""VideoPhy-2's scale: 1..5, success is >= 4 (VideoPhy-2, definition of joint)."""
BINARY = Scale(0, 1, 1)
"""VideoPhy-1's human labels: 0 or 1."""
PROBABILITY = Scale(0, 1, 0.5)
"""A probability of "yes"; the threshold 0.5 is our choice, VideoCon-Physics publishes none."""


@dataclass(frozen=True, slots=True)
class Score:
    """A judge's answer for one clip: either both numbers, or neither.

    Args:
        sa: Semantic adherence on the judge's scale, or ``None`` if the judge says that the clip
            cannot be assessed (*unscored*).
        pc: Physical commonsense, likewise.
        reply: The judge's raw reply, unchanged.
        rules: Per rule of the request: 0 violated, 1 followed, 2 cannot be determined, ``None``
            not asked.
        details: Class probabilities, measurements, reasons (JSON values only).
    """

    sa: float | None
    pc: float | None
    reply: str = ""
    rules: tuple[int | None, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.sa is None) != (self.pc is None):
            raise ValueError(
                f"Expected `sa` and `pc` to be both numbers or both None, but got {self.sa!r} and "
                f"{self.pc!r}. Return a Failure when a judgement broke half-way."
            )

    def success(self, scale: Scale) -> bool | None:
        """Whether both numbers are a success (*joint*), or ``None`` if there are none.

        Args:
            scale: How the judge's numbers read.
        """
        if self.sa is None or self.pc is None:
            return None
        return self.sa >= scale.success and self.pc >= scale.success

    @classmethod
    def unscored(
        cls, reason: str, *, reply: str = "", details: Mapping[str, Any] | None = None
    ) -> Score:
        """A clip that the judge says it cannot assess, with its reason."""
        return cls(None, None, reply=reply, details={**(details or {}), "reason": reason})


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """What a plugin says of itself.

    Args:
        name: The arm's or judge's name in tables, e.g. ``gpt-4o``.
        revision: Version of the weights, snapshot or rules behind the name.
        licence: Licence of the weights or service, as its owner names it.
        fingerprint: Everything that can change the plugin's output (weights digest, dtype,
            settings, library versions, template and parser version); JSON values only. Equal
            fingerprints mean equal outputs, so results are reused across runs.
        simulated: True if its numbers say nothing about real models (shown beside every number).
        max_batch: Largest batch the plugin wants in one call, >= 1.
        seeded: Refiners: False if the seed changes nothing, so that repeats share one refinement.
        free: Refiners: True if refining costs neither time nor money; the harness then refines
            while planning, so that generators can check their texts before work starts.
        video: Generators: native frames, fps and size.
        prompt_budget: Generators: longest text in tokens of its own tokenizer, if limited.
        scale: Judges: how the numbers read.
        extra: The extra that brings the dependencies, empty if the core has them.
        gpu_gib: GPU memory in GiB that the plugin needs; 0 if it runs on a CPU.
        usd_per_unit: Price of one refinement, clip or score in US dollars, for plans of what a run
            will cost; ``None`` if it is not known.
    """

    name: str
    revision: str
    licence: str
    fingerprint: Mapping[str, Any]
    simulated: bool = False
    max_batch: int = 1
    seeded: bool = True
    free: bool = False
    video: VideoSettings | None = None
    prompt_budget: int | None = None
    scale: Scale = LIKERT
    extra: str = ""
    gpu_gib: float = 0.0
    usd_per_unit: float | None = None


@runtime_checkable
class Refiner(Protocol):
    """Rewrites prompts."""

    @property
    def info(self) -> PluginInfo:
        """What this refiner says of itself."""
        ...

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Rewrite each prompt with its seed; one result per prompt, in order."""
        ...


@runtime_checkable
class Generator(Protocol):
    """Makes clips from texts."""

    @property
    def info(self) -> PluginInfo:
        """What this generator says of itself."""
        ...

    def generate(
        self, requests: Sequence[ClipRequest]
    ) -> Sequence[Frames | VideoFile | NoVideo | Failure]:
        """Make one clip per request, in order."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Scores clips."""

    @property
    def info(self) -> PluginInfo:
        """What this judge says of itself."""
        ...

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score each clip against its user prompt, in order."""
        ...
