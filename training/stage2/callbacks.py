"""What watches over stage 2: the log that ``phybench gate`` reads, alarms, and the early stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from phybench.errors import ConfigError
from phybench.gate.findings import CheckOutcome
from phybench.gate.training_log import check_log, read_log
from phybench.machine.folders import default_folder
from phybench.units.cache import Cache

from .reward_log import append_rows, keep_rows
from .step_costs import StepClock

LOG = "log.jsonl"
FLAT_GROUPS = 0.3
"""Share of groups without any difference in reward from which most of the clips teach nothing."""


class Progress(TrainerCallback):
    """Says how far training is; stdout is for results, so the trainer's own printing goes.

    Args:
        tell: Receives one line per logged step.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Tell what was logged, in short."""
        found = logs or {}
        shown = [
            f"{name} {found[name]:.3g}"
            for name in ("loss", "reward", "kl", "eval_reward", "eval_holdout")
            if isinstance(found.get(name), int | float)
        ]
        if shown and state.is_world_process_zero:
            self._tell(f"step {state.global_step} of {state.max_steps}: {', '.join(shown)}")


def quiet(trainer: Any) -> None:
    """Take the trainer's printing to stdout away."""
    trainer.remove_callback(PrinterCallback)


class JsonlLog(TrainerCallback):
    """Writes what the trainer logs, one row per step, in the columns that the gate reads.

    Args:
        path: The file; a resumed run drops the rows that it will write again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Cut off what lies after the checkpoint that training continues from."""
        if state.is_world_process_zero:
            keep_rows(self._path, lambda row: row["step"] <= state.global_step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Append a row; values that are not there are left out."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        numbers = {
            key: value
            for key, value in logs.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        append_rows(self._path, [{"step": state.global_step, **numbers}])


class FlatGroupsAlarm(TrainerCallback):
    """Says once that groups get equal rewards: their clips were paid for and teach nothing.

    Args:
        tell: Receives the message.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = False

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Look at TRL's own metric."""
        share = (logs or {}).get("frac_reward_zero_std")
        if not state.is_world_process_zero or self._told:
            return
        if isinstance(share, int | float) and share > FLAT_GROUPS:
            self._told = True
            self._tell(
                f"step {state.global_step}: {share:.0%} of the groups have equal rewards "
                f"(alarm above {FLAT_GROUPS:.0%}); their gradient is zero. Said once: the log has "
                "the share of every step as `frac_reward_zero_std`."
            )


class StepStart(TrainerCallback):
    """Starts a clock at each step.

    Args:
        clock: The reward's, which reads it when the replies are drawn.
    """

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start it."""
        self._clock.start()


class StepTimer(TrainerCallback):
    """Adds this start's steps and seconds to the timings, evaluations included.

    Args:
        key: From :func:`.timing.timing_key`.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._from, self._began = 0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock where training starts or goes on."""
        self._from, self._began = state.global_step, time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Record, if anything was done."""
        steps = state.global_step - self._from
        if steps > 0 and state.is_world_process_zero:
            with Cache(default_folder()) as cache:
                cache.put([], {self._key: (steps, time.perf_counter() - self._began)})


class HackingStop(TrainerCallback):
    """Stops training when the log shows the signature of reward hacking.

    The test is the gate's own: the reward rises while the hold-out judge lags behind, or while two
    of length, KL and stillness move where they should not.

    Args:
        log: The file that :class:`JsonlLog` writes.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self.reason = ""

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check after each evaluation, which is when the hold-out judge has spoken."""
        from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]

        # Rank 0 has written the log and decides for all: ranks that disagree wait for ever.
        found = [hacking(self._log) if state.is_world_process_zero else ""]
        self.reason = str(broadcast_object_list(found)[0])
        if self.reason:
            control.should_training_stop = True
            control.should_save = True


def hacking(log: Path) -> str:
    """What shows reward hacking in a log; empty if nothing does, or too little is logged yet."""
    if not log.is_file():
        return ""
    try:
        series = read_log(log)
    except ConfigError:
        return ""
    for finding in check_log(series):
        if finding.name == "reward hacking" and finding.outcome is CheckOutcome.FAIL:
            return finding.message
    return ""
