"""What a step of stage 2 costs: its seconds by part, and memory."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass


@dataclass(slots=True)
class StepClock:
    """Tells the time that rollouts take from the reward's; the trainer starts it at each step.

    Args:
        began: When the step under way began, by ``time.perf_counter``; ``None`` if its replies are
            drawn already or it is an evaluation.
    """

    began: float | None = None

    def start(self) -> None:
        """A step begins."""
        self.began = time.perf_counter()

    def drawn(self) -> float:
        """Seconds from the step's begin until now, when its replies are drawn.

        Returns:
            Seconds, or NaN if no step has begun since the last call.
        """
        if self.began is None:
            return float("nan")
        seconds, self.began = time.perf_counter() - self.began, None
        return seconds


def gpu_gib() -> tuple[float, float]:
    """Memory of this process's GPU, in GiB.

    Returns:
        The most that torch has held in this process, and what all processes hold now; NaN without
        a GPU.
    """
    torch = sys.modules.get("torch")  # one that was never loaded holds nothing
    if torch is None or not torch.cuda.is_available():
        return float("nan"), float("nan")
    free, total = torch.cuda.mem_get_info()
    return torch.cuda.max_memory_allocated() / 2**30, (total - free) / 2**30


def peak_host_gib() -> float:
    """Most main memory that this process has held, in GiB; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
