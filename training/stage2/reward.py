"""The reward of stage 2: one number per reply, from the clip that its prompt makes.

``R(t) = w_sa(t) · r_sa + (1 − w_sa(t)) · r_pc``, both parts scaled to 0..1 by the judge's scale.
The paper does not publish a scale; without dividing by the group's spread the size of an update
follows the size of the reward, so the scale matters and is ours. SA is judged against the user's
words, never against the rewritten prompt. Scores are taken as the judge gives them, fractions too:
``videophy2:reading=expected`` gives the mean under its answers' probabilities.

What becomes of a sample:

* a reply that is not in the format: the recipe's ``unreadable`` reward, no clip. It is the
  policy's own fault, so it must cost something;
* a reply cut at the length limit: ``None``. Its loss is masked, and its baseline must not count it;
* clip or judgement failed, or timed out: ``None`` for the whole sample, never a part of it. If more
  than ``failure_limit`` of a rollout fail so, training stops with the reason;
* the judge cannot assess the clip: ``None``, counted apart.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from phybench.errors import PhybenchError
from phybench.plugins.contracts import Clip, ClipRequest, Failure, Scale, Score, VideoSettings
from phybench.prompts.seeds import item_seed
from phybench.refiners.rewriting.replies import ReplyError, check_rewrite, read_reasoning

from .clip_scores import ClipScores, Judged, Sample
from .curriculum import EVALUATION_WEIGHT, weight_at
from .motion import motion_of
from .reward_log import RewardLog
from .step_costs import StepClock, gpu_gib, peak_host_gib

METRICS = (
    "curriculum/w_sa",
    "judge/r_sa",
    "judge/r_pc",
    "judge/weighted_sa",
    "judge/weighted_pc",
    "judge/fail_share",
    "judge/unscored_share",
    "reply/unreadable_share",
    "reply/truncated_share",
    "reply/distinct_share",
    "reply/words",
    "clip_motion",
    "seconds/rollout",
    "seconds/reward",
    "memory/peak_gpu_gib",
    "memory/gpu_used_gib",
    "memory/peak_host_gib",
)
"""Metrics of every rollout; the same on every rank, or gathering them would hang."""
HOLDOUT = "holdout"
"""Mean of the hold-out judge's r_sa and r_pc, at evaluations (``eval_holdout`` in the log)."""


class RewardError(PhybenchError):
    """Too many samples failed to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRules:
    """How samples become rewards.

    Args:
        schedule: Name of the curriculum's schedule.
        alpha: Its rate.
        unreadable: Reward of a reply that is not in the format.
        truncated: Reward of a reply that was cut; ``None`` for none.
        shared_seed: Whether all replies to a prompt get the same noise.
        seed: The run's seed.
        settings: Wishes for every clip.
        instructions: The system prompt, which must not leak into a reply.
        max_new_tokens: Longest reply.
        timeout_s: Longest wait for one sample.
        failure_limit: Share of failed samples above which training stops.
        scale: The training judge's scale.
        holdout_scale: The hold-out judge's scale, or ``None`` without one.
    """

    schedule: str
    alpha: float
    unreadable: float
    shared_seed: bool
    seed: int
    settings: VideoSettings
    instructions: str
    max_new_tokens: int
    timeout_s: float
    failure_limit: float
    scale: Scale
    holdout_scale: Scale | None = None
    truncated: float | None = None


@dataclass(slots=True)
class _Row:
    """One sample on its way to its reward."""

    prompt: str
    text: str = ""
    status: str = ""
    reason: str = ""
    reward: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class PhysicsReward:
    """TRL's reward function, asynchronous: all samples of a rollout are under way at once.

    Args:
        rules: How samples become rewards.
        scores: Makes and judges the clips.
        log: Where every sample is recorded.
        eos: Tokens that end a reply.
        rank: This process's rank, part of a sample's own seed.
        clock: Started by the trainer at each step.
    """

    __name__ = "physics_reward"

    def __init__(
        self,
        rules: RewardRules,
        scores: ClipScores,
        log: RewardLog,
        eos: frozenset[int],
        rank: int = 0,
        clock: StepClock | None = None,
    ) -> None:
        self._rules = rules
        self._scores = scores
        self._log = log
        self._eos = eos
        self._rank = rank
        self._clock = clock or StepClock()

    async def __call__(
        self,
        *,
        completions: Sequence[Sequence[Mapping[str, str]]],
        completion_ids: Sequence[Sequence[int]],
        caption: Sequence[str],
        prompt_id: Sequence[str],
        split: Sequence[str],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        log_extra: Callable[[str, list[Any]], None],
        **_: Any,
    ) -> list[float | None]:
        """Rewards of a rollout's samples on this rank, in order; ``None`` where there is none.

        Raises:
            RewardError: If more samples failed than the limit allows.
        """
        called, drawn = time.perf_counter(), self._clock.drawn()
        step, evaluating = int(trainer_state.global_step), split[0] == "eval"
        weight = self._weight(step, int(trainer_state.max_steps), evaluating=evaluating)
        rows = [
            self._read(text, reply[0]["content"], ids)
            for text, reply, ids in zip(caption, completions, completion_ids, strict=True)
        ]
        seeds = self._seeds(prompt_id, -1 if evaluating else step)
        readable = [pair for pair in zip(rows, seeds, strict=True) if not pair[0].status]
        judges = (0, 1) if evaluating and self._rules.holdout_scale is not None else (0,)
        settings = self._rules.settings
        futures = self._scores.submit(
            [
                Sample(row.prompt, ClipRequest(row.text, seed, 0, settings), judges)
                for row, seed in readable
            ]
        )
        await asyncio.gather(
            *(
                self._judge(row, future, weight)
                for (row, _), future in zip(readable, futures, strict=True)
            )
        )
        self._log.write(split[0], step, weight, prompt_id, [_recorded(row) for row in rows])
        # A step that used a rollout again has left the clock running for its evaluation.
        costs = (
            float("nan") if evaluating else drawn,
            time.perf_counter() - called,
            *gpu_gib(),
            peak_host_gib(),
        )
        values = (*self._metrics(rows, weight), *costs)
        for name, value in zip(METRICS, values, strict=True):
            log_metric(name, value)
        if evaluating and self._rules.holdout_scale is not None:
            log_metric(HOLDOUT, _mean([row.fields.get(HOLDOUT) for row in rows]))
        for name in ("r_sa", "r_pc", "clip"):
            log_extra(name, [row.fields.get(name) for row in rows])
        self._check_failures(rows)
        return [row.reward for row in rows]

    def _weight(self, step: int, total: int, *, evaluating: bool) -> float:
        if evaluating:
            return EVALUATION_WEIGHT
        return weight_at(self._rules.schedule, self._rules.alpha, step, total)

    def _seeds(self, prompt_ids: Sequence[str], step: int) -> list[int]:
        """One clip seed per sample; a prompt that comes back at a later step gets new noise."""
        seen: Counter[str] = Counter()
        seeds = []
        for name in prompt_ids:
            own = "" if self._rules.shared_seed else f"/{self._rank}/{seen[name]}"
            seen[name] += 1
            seeds.append(item_seed(self._rules.seed, f"{name}/{step}{own}", 0))
        return seeds

    def _read(self, prompt: str, reply: str, ids: Sequence[int]) -> _Row:
        if len(ids) >= self._rules.max_new_tokens and ids[-1] not in self._eos:
            cut = _Row(prompt, status="truncated", reason=f"cut after {len(ids)} tokens")
            cut.reward = self._rules.truncated
            return cut
        try:
            rewrite = read_reasoning(reply)
            instructions = self._rules.instructions
            check_rewrite(rewrite, prompt=prompt, instructions=instructions, language="english")
        except ReplyError as error:
            bad = _Row(prompt, status="unreadable", reason=f"{error.kind}: {error}")
            bad.reward = self._rules.unreadable
            return bad
        return _Row(prompt, text=rewrite.prompt)

    async def _judge(self, row: _Row, future: Future[Judged], weight: float) -> None:
        try:
            judged = await asyncio.wait_for(asyncio.wrap_future(future), self._rules.timeout_s)
        except TimeoutError:
            row.status = "failed"
            row.reason = f"timeout: no score after {self._rules.timeout_s:g} s"
            return
        self._rewarded(row, judged, weight)
        if isinstance(judged.clip, Clip):
            row.fields["motion"] = await asyncio.to_thread(motion_of, judged.clip)

    def _rewarded(self, row: _Row, judged: Judged, weight: float) -> None:
        if isinstance(judged.clip, Failure):
            row.status, row.reason = "failed", f"{judged.clip.kind}: {judged.clip.message}"
            return
        row.fields["clip"] = judged.clip.sha256
        score = judged.scores[0]
        if isinstance(score, Failure):
            row.status, row.reason = "failed", f"{score.kind}: {score.message}"
            return
        parts = _scaled(score, self._rules.scale)
        if parts is None:
            row.status, row.reason = "unscored", str(score.details.get("reason", ""))
            return
        r_sa, r_pc = parts
        weighted = weight * r_sa, (1 - weight) * r_pc
        row.status, row.reward = "scored", weighted[0] + weighted[1]
        row.fields |= {"sa": score.sa, "pc": score.pc, "r_sa": r_sa, "r_pc": r_pc}
        row.fields |= {"weighted_sa": weighted[0], "weighted_pc": weighted[1]}
        other = judged.scores.get(1)
        if isinstance(other, Score) and self._rules.holdout_scale is not None:
            held = _scaled(other, self._rules.holdout_scale)
            row.fields[HOLDOUT] = None if held is None else statistics.mean(held)

    def _metrics(self, rows: Sequence[_Row], weight: float) -> tuple[float, ...]:
        """The samples' part of :data:`METRICS`."""
        share = partial(_share, rows)
        texts = [row.text for row in rows if row.text]
        return (
            weight,
            *(
                _mean([row.fields.get(name) for row in rows])
                for name in ("r_sa", "r_pc", "weighted_sa", "weighted_pc")
            ),
            share("failed"),
            share("unscored"),
            share("unreadable"),
            share("truncated"),
            len(set(texts)) / max(1, len(texts)),
            _mean([len(text.split()) for text in texts]),
            _mean([row.fields.get("motion") for row in rows]),
        )

    def _check_failures(self, rows: Sequence[_Row]) -> None:
        failed = [row for row in rows if row.status == "failed"]
        if len(failed) <= self._rules.failure_limit * len(rows):
            return
        reason, count = Counter(row.reason for row in failed).most_common(1)[0]
        raise RewardError(
            f"{len(failed)} of {len(rows)} samples of a rollout failed, more than "
            f"`reward.failure_limit` = {self._rules.failure_limit:g} allows. Most often "
            f"({count} times): {reason} Mend the cause and run the same command: it continues."
        )


def _scaled(score: Score, scale: Scale) -> tuple[float, float] | None:
    """SA and PC in 0..1, or ``None`` if the judge could not assess the clip."""
    if score.sa is None or score.pc is None:
        return None
    width = scale.high - scale.low
    return (score.sa - scale.low) / width, (score.pc - scale.low) / width


def _recorded(row: _Row) -> dict[str, Any]:
    return {
        "prompt": row.prompt,
        "text": row.text,
        "status": row.status,
        "reason": row.reason,
        "reward": row.reward,
        **row.fields,
    }


def _share(rows: Sequence[_Row], status: str) -> float:
    return sum(row.status == status for row in rows) / max(1, len(rows))


def _mean(values: Sequence[float | None]) -> float:
    """Mean of what is there; NaN if nothing is, which the trainer leaves out of its averages."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else float("nan")
