from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from tools.made_runs import make_run
from typer.testing import CliRunner

from phybench.cli.gate import gate
from phybench.errors import ConfigError
from phybench.gate.baseline import Policy, read_baseline, record_baseline, write_baseline
from phybench.gate.check import check_run
from phybench.gate.findings import CheckOutcome, GateFinding, exit_code
from phybench.gate.health import entropy_bits
from phybench.gate.levels import detectable_drop, judge_level, parser_level
from phybench.judges.ratings.rating_text import read_rating
from phybench.plugins.contracts import Failure, Score

Scores = NDArray[np.float64]


def drawn(rng: np.random.Generator, prompts: int, rate: float = 0.6) -> Scores:
    """Scores of which about ``rate`` are successes."""
    good = rng.random((prompts, 1)) < rate
    return np.where(good, rng.integers(4, 6, good.shape), rng.integers(1, 4, good.shape)).astype(
        float
    )


def run_with(folder: Path, sa: Scores, pc: Scores, **options: Any) -> Path:
    arms = {("identity", "tabletop"): (sa, pc)}
    return make_run(folder, arms, judge="oracle", **options)


def outcomes(findings: list[GateFinding], level: str) -> list[CheckOutcome]:
    return [finding.outcome for finding in findings if finding.level == level]


@pytest.fixture
def golden(tmp_path: Path) -> tuple[Path, Scores, Scores]:
    rng = np.random.default_rng(0)
    sa, pc = drawn(rng, 120), drawn(rng, 120)
    return run_with(tmp_path / "golden", sa, pc), sa, pc


def test_a_baseline_survives_its_file(golden: tuple[Path, Scores, Scores], tmp_path: Path) -> None:
    baseline = record_baseline(golden[0], Policy(margin=0.03))
    write_baseline(baseline, tmp_path / "baseline.json")
    assert read_baseline(tmp_path / "baseline.json") == baseline


def test_the_same_run_passes(golden: tuple[Path, Scores, Scores]) -> None:
    findings = check_run(record_baseline(golden[0], Policy()), golden[0])
    assert exit_code(findings) == 0
    assert outcomes(findings, "judge") == [CheckOutcome.OK]
    assert set(outcomes(findings, "arm")) == {CheckOutcome.OK}


def test_one_changed_score_on_a_golden_clip_fails(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    changed = pc.copy()
    changed[7] = 6 - changed[7]
    findings = check_run(record_baseline(folder, Policy()), run_with(tmp_path / "now", sa, changed))
    failed = [finding for finding in findings if finding.outcome is CheckOutcome.FAIL]
    assert [finding.level for finding in failed] == ["judge"]
    assert "1 of 120 golden clips" in failed[0].message
    assert "p7/0" in failed[0].message
    assert exit_code(findings) == 1


def test_a_tolerant_judge_check_bounds_the_mean_shift(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    noise = np.random.default_rng(1).integers(-1, 2, pc.shape)
    jittered = run_with(tmp_path / "noise", sa, np.clip(pc + noise, 1, 5))
    shifted = run_with(tmp_path / "shift", sa, np.clip(pc + 1, 1, 5))
    baseline = record_baseline(folder, Policy(judge_tolerance=0.3))
    assert outcomes(check_run(baseline, jittered), "judge") == [CheckOutcome.OK]
    assert outcomes(check_run(baseline, shifted), "judge") == [CheckOutcome.FAIL]


def test_a_worse_arm_fails_and_says_by_how_much(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    worse = pc.copy()
    worse[:70] = 1
    now = run_with(tmp_path / "now", sa, worse)
    findings = check_run(record_baseline(folder, Policy(judge_tolerance=4)), now)
    failed = {finding.name for finding in findings if finding.outcome is CheckOutcome.FAIL}
    assert "identity × tabletop, oracle: joint" in failed
    assert "identity × tabletop, oracle: pc" in failed
    assert "identity × tabletop, oracle: sa" not in failed


def test_lost_items_are_drift_too(golden: tuple[Path, Scores, Scores], tmp_path: Path) -> None:
    folder, sa, pc = golden
    broken = sa.copy()
    broken[:20] = -2
    findings = check_run(record_baseline(folder, Policy()), run_with(tmp_path / "now", broken, pc))
    coverage = next(each for each in findings if each.name.endswith("coverage"))
    assert coverage.outcome is CheckOutcome.FAIL
    assert coverage.numbers["change"] == pytest.approx(-20 / 120)


def test_a_changed_judge_without_golden_clips_blocks_the_arms(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    now = run_with(tmp_path / "now", sa, pc, judge_print="j2", seed=0)
    rows = (now / "items.jsonl").read_text().replace('"sha256": "', '"sha256": "0')
    (now / "items.jsonl").write_text(rows)
    scores = (now / "scores.jsonl").read_text().replace('"clip": "', '"clip": "0')
    (now / "scores.jsonl").write_text(scores)
    findings = check_run(record_baseline(folder, Policy()), now)
    assert outcomes(findings, "judge") == [CheckOutcome.BLOCKED]
    assert outcomes(findings, "arm") == [CheckOutcome.BLOCKED]
    assert exit_code(findings) == 2


def test_a_judge_that_always_says_four_fails_its_health_check(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, _ = golden
    constant = run_with(tmp_path / "now", np.full_like(sa, 4), np.full_like(sa, 4))
    findings = check_run(record_baseline(folder, Policy()), constant)
    spread = [each for each in findings if "spread" in each.name]
    assert [each.outcome for each in spread] == [CheckOutcome.FAIL, CheckOutcome.FAIL]
    assert spread[0].numbers == {"entropy_bits": 0.0, "modal_share": 1.0, "n": 120}
    again = check_run(record_baseline(constant, Policy()), constant)
    assert {each.outcome for each in again if "spread" in each.name} == {CheckOutcome.UNDECIDED}
    assert exit_code(again) == 0
    assert exit_code(again, strict=True) == 1


def test_parse_failures_fail_only_beyond_chance(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    one, many = sa.copy(), sa.copy()
    one[0], many[:12] = np.nan, np.nan
    baseline = record_baseline(folder, Policy())

    def failures(name: str, values: Scores) -> CheckOutcome:
        findings = check_run(baseline, run_with(tmp_path / name, values, pc))
        return next(each.outcome for each in findings if "failed judgements" in each.name)

    assert failures("one", one) is CheckOutcome.OK
    assert failures("many", many) is CheckOutcome.FAIL


def test_entropy_of_known_distributions() -> None:
    assert entropy_bits([1.0, 2, 3, 4]) == pytest.approx(2)
    assert entropy_bits([4.0] * 9) == 0


@dataclass
class ReadsRatings:
    """A judge's reading of its replies, with the project's own strict reader."""

    high: int = 5

    def reread(self, reply: str) -> Score | Failure:
        rating = read_rating(reply, 1, self.high)
        return Failure("parse", "no rating") if rating is None else Score(rating, rating)


def test_frozen_replies_are_read_again_exactly(tmp_path: Path) -> None:
    sa = np.array([[4.0], [2.0], [np.nan]])
    at = [(number, "identity", "tabletop") for number in range(3)]
    replies = dict(zip(at, ["4/5", "two", "between 3 and 4"], strict=True))
    baseline = record_baseline(run_with(tmp_path / "run", sa, sa, replies=replies), Policy())
    assert parser_level(baseline, "oracle", ReadsRatings()).outcome is CheckOutcome.OK
    # A reader that takes another scale no longer accepts "4/5".
    changed = parser_level(baseline, "oracle", ReadsRatings(high=7))
    assert changed.outcome is CheckOutcome.FAIL
    assert "SA 4 PC 4 → failed" in changed.message
    assert parser_level(baseline, "oracle", None).outcome is CheckOutcome.SKIPPED


def test_other_prompts_seeds_or_judges_cannot_be_checked(
    golden: tuple[Path, Scores, Scores], tmp_path: Path
) -> None:
    folder, sa, pc = golden
    baseline = record_baseline(folder, Policy())
    with pytest.raises(ConfigError, match="baseline's seed"):
        check_run(baseline, run_with(tmp_path / "seed", sa, pc, seed=1))
    with pytest.raises(ConfigError, match="baseline's prompts"):
        check_run(baseline, run_with(tmp_path / "prompts", sa[:50], pc[:50]))
    other = make_run(tmp_path / "judge", {("identity", "tabletop"): (sa, pc)}, judge="labels")
    with pytest.raises(ConfigError, match="run lacks oracle"):
        check_run(baseline, other)


def test_an_unfinished_run_is_refused(golden: tuple[Path, Scores, Scores]) -> None:
    header = json.loads((golden[0] / "run.json").read_text())
    (golden[0] / "run.json").write_text(json.dumps({**header, "status": "running"}))
    with pytest.raises(ConfigError, match="finished run"):
        record_baseline(golden[0], Policy())


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [50, 150, 500])
def test_no_drift_no_alarm_and_the_claimed_drift_is_seen(prompts: int, tmp_path: Path) -> None:
    """Noise flips 20 % of the outcomes; alarms at most 1 %, and >= 80 % at the claimed drop."""
    rng = np.random.default_rng(prompts)
    sa, pc = np.full((prompts, 1), 5.0), drawn(rng, prompts)
    baseline = record_baseline(run_with(tmp_path / "run", sa, pc), Policy(judge_tolerance=4))
    items = baseline.items
    alpha = 0.01 / 4  # joint, SA, PC and coverage of one arm
    claimed = detectable_drop(prompts, 0.2, alpha, margin=0.05)

    def alarm_rate(drop: float, runs: int) -> float:
        from phybench.gate.levels import arm_level

        alarms = 0
        for _ in range(runs):
            # Lost and won successes in equal numbers on average, and the drop on top.
            success = rng.random(prompts) < 0.6
            before = np.where(success, 5.0, 1.0)
            lost = success & (rng.random(prompts) < (0.1 + drop) / 0.6)
            won = ~success & (rng.random(prompts) < 0.1 / 0.4)
            after = np.where(lost, 1.0, np.where(won, 5.0, before))
            alarms += _alarm(arm_level(_with(baseline, before), _with(baseline, after).items))
        return alarms / runs

    assert len(items) == prompts
    # 150 runs at a true 1 % have more than 5 alarms with a chance below 0.5 %.
    assert alarm_rate(0.0, 150) <= 5 / 150
    # 40 runs at a true 80 % have fewer than 25 alarms with a chance below 0.5 %.
    assert alarm_rate(claimed, 40) >= 25 / 40


def _alarm(findings: list[GateFinding]) -> bool:
    return any(
        each.outcome is CheckOutcome.FAIL and each.name.endswith("joint") for each in findings
    )


def _with(baseline: Any, pc: NDArray[np.float64]) -> Any:
    from dataclasses import replace

    items = {
        key: replace(item, scores={"oracle": {**item.scores["oracle"], "pc": float(value)}})
        for (key, item), value in zip(baseline.items.items(), pc, strict=True)
    }
    return replace(baseline, items=items)


def test_judge_level_needs_unchanged_bytes(golden: tuple[Path, Scores, Scores]) -> None:
    baseline = record_baseline(golden[0], Policy())
    assert judge_level(baseline, "oracle", {}, due=True).outcome is CheckOutcome.BLOCKED
    assert judge_level(baseline, "oracle", {}, due=False).outcome is CheckOutcome.SKIPPED


def test_policy_refuses_values_out_of_range() -> None:
    with pytest.raises(ConfigError, match="`margin`"):
        Policy(margin=0)
    with pytest.raises(ConfigError, match="`judge_tolerance`"):
        Policy(judge_tolerance=-1)


def test_command_writes_all_outputs(golden: tuple[Path, Scores, Scores], tmp_path: Path) -> None:
    folder, sa, pc = golden
    baseline = tmp_path / "baseline.json"
    cli = CliRunner()
    assert cli.invoke(gate, ["record", str(folder), "-o", str(baseline)]).exit_code == 0
    passed = cli.invoke(gate, ["check", str(folder), "--baseline", str(baseline), "--json"])
    assert passed.exit_code == 0
    assert json.loads(passed.stdout)["verdict"] == "passed"
    worse = run_with(tmp_path / "now", sa, np.ones_like(pc))
    summary, junit, machine = (tmp_path / name for name in ("s.md", "j.xml", "g.json"))
    arguments = ["check", str(worse), "--baseline", str(baseline)]
    arguments += ["--markdown", str(summary), "--junit", str(junit), "--json-file", str(machine)]
    failed = cli.invoke(gate, arguments)
    assert failed.exit_code == 1
    assert "# phybench gate: drift" in summary.read_text()
    suite = ElementTree.fromstring(junit.read_text())
    result = json.loads(machine.read_text())
    assert int(suite.attrib["tests"]) == len(result["findings"])
    assert int(suite.attrib["failures"]) == len(suite.findall(".//failure")) > 0


def test_a_damaged_baseline_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text("{}")
    with pytest.raises(ConfigError, match="Expected a gate baseline"):
        read_baseline(file)
