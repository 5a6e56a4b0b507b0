"""VideoCrafter2's sampler: DDIM with a dynamic rescaling of the predicted clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TRAINING_STEPS = 1000
_BETA_START, _BETA_END = 0.00085, 0.012
_SCALE_END, _SCALE_STEPS = 0.7, 400


@dataclass(frozen=True, slots=True)
class DdimSchedule:
    """One value per step, in ascending order of the timestep; sampling runs backwards.

    Args:
        timesteps: Training timesteps.
        alphas: Cumulative product of alphas.
        alphas_prev: The same at the step before.
        sigmas: Standard deviation of the noise that is added.
        scales: Factor by which the predicted clip was scaled in training.
        scales_prev: The same at the step before.
    """

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_prev: tuple[float, ...]
    sigmas: tuple[float, ...]
    scales: tuple[float, ...]
    scales_prev: tuple[float, ...]


def noise_schedule() -> torch.Tensor:
    """Cumulative alphas of training: square-root-linear betas in float64, then float32."""
    import torch

    roots = torch.linspace(_BETA_START**0.5, _BETA_END**0.5, TRAINING_STEPS, dtype=torch.float64)
    return torch.cumprod(1 - roots**2, 0).float()


def rescale_table() -> torch.Tensor:
    """Rescaling factors by timestep: down to 0.7 over 400 steps, then constant.

    The published table has 1400 entries, 400 more than there are timesteps.
    """
    import torch

    ramp = torch.linspace(1.0, _SCALE_END, _SCALE_STEPS)
    return torch.cat([ramp, torch.full((TRAINING_STEPS,), _SCALE_END)])


def ddim_schedule(steps: int, eta: float) -> DdimSchedule:
    """The schedule of ``steps`` evenly spaced timesteps.

    Timesteps are ``i * (1000 // steps) + 1``; a number of steps that does not divide 1000 gives
    some more than asked, as in the original.
    """
    alphas_all = noise_schedule().double()
    table = rescale_table()
    stride = TRAINING_STEPS // steps
    timesteps = [first + 1 for first in range(0, TRAINING_STEPS, stride)]
    timesteps = [step for step in timesteps if step < TRAINING_STEPS]
    previous = [0, *timesteps[:-1]]
    alphas, before = alphas_all[timesteps], alphas_all[previous]
    sigmas = eta * ((1 - before) / (1 - alphas) * (1 - alphas / before)).sqrt()
    return DdimSchedule(
        timesteps=tuple(timesteps),
        alphas=tuple(alphas.tolist()),
        alphas_prev=tuple(before.tolist()),
        sigmas=tuple(sigmas.tolist()),
        scales=tuple(table[timesteps].tolist()),
        scales_prev=tuple(table[previous].tolist()),
    )


def sample(
    predict_noise: Callable[[torch.Tensor, int], torch.Tensor],
    start: torch.Tensor,
    noise: Iterator[torch.Tensor],
    schedule: DdimSchedule,
) -> torch.Tensor:
    """Denoise a latent clip.

    Args:
        predict_noise: Guided noise prediction at a timestep.
        start: Noise of shape (B, C, T, h, w).
        noise: One tensor of that shape per step; drawn also at the last step and where its factor
            is zero, because the original does, and seeds shall mean the same.
        schedule: The steps.

    Returns:
        The clean latent clip, of the shape of ``start``.
    """
    latents = start
    for index in reversed(range(len(schedule.timesteps))):
        prediction = predict_noise(latents, schedule.timesteps[index])
        clean = predicted_clip(latents, prediction, schedule, index)
        latents = _previous(clean, prediction, next(noise), schedule, index)
    return latents


def predicted_clip(
    latents: torch.Tensor, prediction: torch.Tensor, schedule: DdimSchedule, index: int
) -> torch.Tensor:
    """The clean clip that a noise prediction implies, freed of the rescaling."""
    alpha = schedule.alphas[index]
    scaled: torch.Tensor = (latents - (1 - alpha) ** 0.5 * prediction) / alpha**0.5
    return scaled / schedule.scales[index]


def _previous(
    clean: torch.Tensor,
    prediction: torch.Tensor,
    noise: torch.Tensor,
    schedule: DdimSchedule,
    index: int,
) -> torch.Tensor:
    alpha, sigma = schedule.alphas_prev[index], schedule.sigmas[index]
    kept = clean * (alpha**0.5 * schedule.scales_prev[index])
    direction = prediction * max(1 - alpha - sigma**2, 0.0) ** 0.5
    previous: torch.Tensor = kept + direction + noise * sigma
    return previous
