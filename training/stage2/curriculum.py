"""The curriculum: how the weight of semantic adherence falls while training goes on.

``R(t) = w_sa(t) · r_sa + (1 − w_sa(t)) · r_pc`` with ``w_sa(t) = exp(−α t/T)`` (PhyPrompt, arXiv
2603.03505, section on stage 2). The other schedules are the ablation's. ``t`` is the optimiser step
at which a rollout is made, so it stands still while a rollout is used more than once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Weight = Callable[[float, float], float]
"""From progress ``t/T`` in 0..1 and the rate α to ``w_sa`` in 0..1."""
EVALUATION_WEIGHT = 0.5
"""Weight outside of training, where there is no progress: one fixed mixture, so that evaluations at
different steps compare. Our choice."""


def exponential(progress: float, alpha: float) -> float:
    """``exp(−α t/T)``, the paper's; PC outweighs SA from ``t/T = ln 2 / α`` on."""
    return math.exp(-alpha * progress)


def linear(progress: float, alpha: float) -> float:
    """From 1 in a straight line to where :func:`exponential` ends."""
    return 1.0 - progress * (1.0 - math.exp(-alpha))


def cosine(progress: float, alpha: float) -> float:
    """From 1 along half a cosine to where :func:`exponential` ends."""
    end = math.exp(-alpha)
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * progress))


def step(progress: float, alpha: float) -> float:
    """1 in the first half, then where :func:`exponential` ends."""
    return 1.0 if progress < 0.5 else math.exp(-alpha)


def static(progress: float, alpha: float) -> float:
    """Half and half throughout (the paper's ablation, as a third-party note reports it)."""
    return 0.5


def sa_only(progress: float, alpha: float) -> float:
    """Semantic adherence alone."""
    return 1.0


def pc_only(progress: float, alpha: float) -> float:
    """Physical commonsense alone."""
    return 0.0


SCHEDULES: Mapping[str, Weight] = {
    "exponential": exponential,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "static": static,
    "sa-only": sa_only,
    "pc-only": pc_only,
}
"""The schedules by the name that recipes use."""


def weight_at(schedule: str, alpha: float, step: int, total: int) -> float:
    """``w_sa`` at an optimiser step.

    Args:
        schedule: A key of :data:`SCHEDULES`.
        alpha: How fast the weight falls.
        step: ``trainer_state.global_step``.
        total: ``trainer_state.max_steps``; it is 0 when ``evaluate()`` comes before ``train()``.

    Returns:
        The weight in 0..1; :data:`EVALUATION_WEIGHT` if ``total`` is not positive.
    """
    if total <= 0:
        return EVALUATION_WEIGHT
    return SCHEDULES[schedule](min(1.0, max(0.0, step / total)), alpha)
