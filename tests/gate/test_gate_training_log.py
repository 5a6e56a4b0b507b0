from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from phybench.cli.gate import gate
from phybench.errors import ConfigError
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.gate.training_log import TrainingLog, check_log, read_log, window_p

STEPS = 200


def series(start: float, end: float, noise: float, seed: int) -> NDArray[np.float64]:
    return np.linspace(start, end, STEPS) + np.random.default_rng(seed).normal(0, noise, STEPS)


def found(columns: Mapping[str, NDArray[np.float64]], *, still: bool = False) -> list[GateFinding]:
    return check_log(TrainingLog(Path("log"), columns), still=still)


def test_honest_learning_passes() -> None:
    columns = {
        "reward": series(0.3, 0.6, 0.05, 0),
        "holdout": series(0.2, 0.5, 0.05, 1),
        "length": series(80, 84, 4, 2),
        "kl": series(0, 0.2, 0.02, 3),
    }
    findings = found(columns)
    assert [finding.outcome for finding in findings] == [CheckOutcome.OK, CheckOutcome.OK]
    assert "Not logged: motion." in findings[1].message


def test_reward_up_while_the_holdout_stays_flat_is_hacking() -> None:
    columns = {"reward": series(0.3, 0.6, 0.05, 0), "holdout": series(0.3, 0.3, 0.05, 1)}
    hacking = found(columns)[1]
    assert hacking.outcome is CheckOutcome.FAIL
    assert "hold-out judge lags" in hacking.message


def evaluations(start: float, end: float, noise: float, seed: int) -> NDArray[np.float64]:
    return np.linspace(start, end, 10) + np.random.default_rng(seed).normal(0, noise, 10)


def test_a_holdout_that_speaks_rarely_and_rises_along_is_no_alarm() -> None:
    """Ten noisy evaluations that rise as much as the reward: at a true 1 %, 3 of 60 are rare."""
    alarms = [
        found(
            {
                "reward": series(0.3, 0.5, 0.05, seed),
                "evaluated": evaluations(0.3, 0.5, 0.02, 1000 + seed),
                "holdout": evaluations(0.25, 0.45, 0.03, 2000 + seed),
            }
        )[1].outcome
        is CheckOutcome.FAIL
        for seed in range(60)
    ]
    assert sum(alarms) <= 3


def test_a_reward_that_only_its_curriculum_lifts_is_no_hacking() -> None:
    columns = {
        "reward": series(0.3, 0.6, 0.03, 0),
        "evaluated": evaluations(0.4, 0.4, 0.02, 1),
        "holdout": evaluations(0.4, 0.4, 0.02, 2),
    }
    assert found(columns)[1].outcome is not CheckOutcome.FAIL
    lifted = {**columns, "evaluated": evaluations(0.4, 0.7, 0.02, 1)}
    assert found(lifted)[1].outcome is CheckOutcome.FAIL


def test_windows_of_a_changing_reward_are_not_compared() -> None:
    columns = {"reward": series(0.6, 0.3, 0.05, 0), "weight": np.linspace(1, 0.1, STEPS)}
    assert found(columns)[0].outcome is CheckOutcome.SKIPPED


def test_two_of_length_kl_and_motion_fail_one_is_said() -> None:
    reward = series(0.3, 0.6, 0.05, 0)
    longer, still = series(80, 200, 5, 1), series(1.0, 0.2, 0.05, 2)
    assert found({"reward": reward, "length": longer})[1].outcome is CheckOutcome.UNDECIDED
    both = found({"reward": reward, "length": longer, "motion": still})[1]
    assert both.outcome is CheckOutcome.FAIL
    assert "grow from" in both.message
    assert "stand still" in both.message


def test_a_falling_reward_is_drift_and_a_rising_one_only_when_it_should_be_still() -> None:
    rising, falling = series(0.3, 0.6, 0.05, 0), series(0.6, 0.3, 0.05, 0)
    assert found({"reward": falling})[0].outcome is CheckOutcome.FAIL
    assert found({"reward": rising})[0].outcome is CheckOutcome.OK
    assert found({"reward": rising}, still=True)[0].outcome is CheckOutcome.FAIL


def test_no_drift_no_alarm() -> None:
    """At a true 0.1 % per log, two alarms in 60 logs have a chance below 0.2 %."""
    alarms = [
        found({"reward": series(0.5, 0.5, 0.1, seed)}, still=True)[0].outcome is CheckOutcome.FAIL
        for seed in range(60)
    ]
    assert sum(alarms) <= 1


def test_window_test_agrees_with_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 20), rng.normal(0.6, 1, 30)
    expected = stats.permutation_test(
        (first, second), lambda x, y: x.mean() - y.mean(), n_resamples=20_000, rng=1
    ).pvalue
    assert window_p(first, second, rng) == pytest.approx(expected, abs=0.01)


def test_short_logs_block() -> None:
    assert found({"reward": np.ones(10)})[0].outcome is CheckOutcome.BLOCKED


def test_reads_trainer_state_and_jsonl(tmp_path: Path) -> None:
    rows = [{"step": step, "reward": 0.5, "kl": 0.1} for step in range(50)]
    history = [*rows, {"train_runtime": 3.0}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "log.jsonl").write_text(lines)
    for path in (tmp_path, tmp_path / "trainer_state.json", tmp_path / "log.jsonl"):
        log = read_log(path)
        assert {name: len(values) for name, values in log.series.items()} == {
            "reward": 50,
            "kl": 50,
        }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"holdout": "gold"}, "column 'gold'"),
        ({"prize": "x"}, "'prize'"),
        ({"reward": "text"}, "Expected numbers"),
        ({"reward": "hole"}, "finite"),
    ],
)
def test_bad_columns_are_named(columns: dict[str, str], message: str, tmp_path: Path) -> None:
    row = {"reward": 1.0, "text": "high", "hole": float("inf")}
    (tmp_path / "log.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match=message):
        read_log(tmp_path / "log.jsonl", columns)


def test_command_checks_a_log(tmp_path: Path) -> None:
    rewards, holdout = series(0.3, 0.6, 0.05, 0), series(0.3, 0.3, 0.05, 1)
    rows = [{"r": a, "h": b} for a, b in zip(rewards, holdout, strict=True)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["check", "--log", str(tmp_path / "log.jsonl"), "--column", "reward=r"]
    done = CliRunner().invoke(gate, [*arguments, "--column", "holdout=h"])
    assert done.exit_code == 1
    assert "reward hacking" in done.stdout
    assert isinstance(CliRunner().invoke(gate, ["check"]).exception, ConfigError)
