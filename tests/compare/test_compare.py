from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from tools.made_runs import make_run
from typer.testing import CliRunner

from phybench.cli.compare import compare_command
from phybench.compare.differences import compare_pairs
from phybench.compare.pairing import pair_runs
from phybench.compare.reported import claim_sentence, claims, paper_table, read_reported
from phybench.compare.sentences import difference_table, sentence
from phybench.errors import ConfigError
from phybench.runs.cells import load_run

PAPER = paper_table()

app = typer.Typer()
app.command()(compare_command)


def scores(wins: int, losses: int, both: int, neither: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """PC of an arm and its baseline with these joint outcomes (SA is always 5)."""
    arm = np.repeat([5.0, 1, 5, 1], [wins, losses, both, neither])[:, None]
    baseline = np.repeat([1.0, 5, 5, 1], [wins, losses, both, neither])[:, None]
    return arm, baseline


def run_of(folder: Path, counts: tuple[int, int, int, int], **options: Any) -> Path:
    arm, baseline = scores(*counts)
    good = np.full_like(arm, 5)
    return make_run(
        folder,
        {("identity", "tabletop"): (good, baseline), ("template", "tabletop"): (good, arm)},
        **options,
    )


def test_one_run_is_compared_with_identity(tmp_path: Path) -> None:
    run = load_run(run_of(tmp_path / "run", (40, 12, 50, 98)))
    found = compare_pairs(pair_runs([run]).pairs)
    joint = next(each for each in found if each.measure == "joint")
    assert (joint.result.wins, joint.result.losses, joint.result.ties) == (40, 12, 148)
    assert joint.result.difference == pytest.approx(0.14)
    assert (joint.value, joint.baseline_value) == (pytest.approx(0.45), pytest.approx(0.31))
    # Two-sided exact McNemar of 12 against 40: 2 P(B <= 12), B ~ Bin(52, 1/2).
    expected = 2 * sum(math.comb(52, k) for k in range(13)) / 2**52
    assert joint.result.p_value == pytest.approx(expected)
    assert joint.significant
    text = sentence(joint)
    assert text.startswith("template against identity (tabletop, kinematic) raises joint success")
    assert "+14.0 points" in text
    assert "40 wins, 12 losses, 148 ties" in text
    assert "| template × tabletop | identity × tabletop |" in difference_table(found)


def test_an_undecided_difference_says_what_would_be_missed(tmp_path: Path) -> None:
    run = load_run(run_of(tmp_path / "run", (20, 15, 50, 115)))
    joint = compare_pairs(pair_runs([run]).pairs)[0]
    assert not joint.significant
    assert "cannot be told apart" in sentence(joint)
    assert f"less than {100 * joint.detectable:.1f} points would be missed" in sentence(joint)


def test_holm_runs_over_the_arms(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = np.full((60, 1), 5.0)
    arms = {
        (name, "tabletop"): (good, rng.choice([1.0, 5.0], (60, 1)))
        for name in ("identity", "a", "b", "c")
    }
    found = compare_pairs(pair_runs([load_run(make_run(tmp_path / "run", arms))]).pairs)
    joint = [each for each in found if each.measure == "joint"]
    smallest = min(joint, key=lambda each: each.result.p_value)
    assert smallest.p_adjusted == pytest.approx(min(1, 3 * smallest.result.p_value))


def test_two_runs_are_compared_arm_by_arm(tmp_path: Path) -> None:
    before = load_run(run_of(tmp_path / "before", (0, 0, 50, 50)))
    after = load_run(run_of(tmp_path / "after", (30, 0, 20, 50)))
    pairs = pair_runs([before, after]).pairs
    assert [(pair.arm.arm, pair.arm.run.folder.name) for pair in pairs] == [
        ("identity × tabletop", "after"),
        ("template × tabletop", "after"),
    ]
    found = compare_pairs(pairs)
    assert "identity in after against before" in sentence(found[0])


def test_a_baseline_may_be_an_arm(tmp_path: Path) -> None:
    good = np.full((20, 1), 5.0)
    arms = {(r, g): (good, good) for r in ("identity", "template") for g in ("x", "y")}
    run = load_run(make_run(tmp_path / "run", arms))
    pairs = pair_runs([run], "identity/x").pairs
    arms = [pair.arm.arm for pair in pairs]
    assert sorted(arms) == ["identity × y", "template × x", "template × y"]
    assert {pair.baseline.arm for pair in pairs} == {"identity × x"}


def test_other_judges_are_refused_with_the_reason(tmp_path: Path) -> None:
    runs = [
        load_run(run_of(tmp_path / "a", (5, 5, 5, 5))),
        load_run(run_of(tmp_path / "b", (5, 5, 5, 5), judge_print="j2")),
    ]
    with pytest.raises(ConfigError, match="judge `kinematic` differs in its fingerprint"):
        pair_runs(runs)


def test_other_seeds_are_refused_with_the_reason(tmp_path: Path) -> None:
    runs = [
        load_run(run_of(tmp_path / "a", (5, 5, 5, 5))),
        load_run(run_of(tmp_path / "b", (5, 5, 5, 5), seed=1)),
    ]
    with pytest.raises(ConfigError, match="run seeds are 1 and 0"):
        pair_runs(runs)


def test_only_equal_texts_are_common_prompts(tmp_path: Path) -> None:
    texts = {f"p{number}": f"text {number}" for number in range(20)}
    changed = {**texts, "p3": "another text"}
    runs = [
        load_run(run_of(tmp_path / "a", (5, 5, 5, 5), prompts=texts)),
        load_run(run_of(tmp_path / "b", (5, 5, 5, 5), prompts=changed)),
    ]
    pairs = pair_runs(runs).pairs
    assert pairs[0].arm.cell.status.shape == (19, 1)
    assert "compared on 19 common items of 20 and 20" in pairs[0].left_out
    foreign = {f"q{number}": f"text {number}" for number in range(20)}
    other = load_run(run_of(tmp_path / "c", (5, 5, 5, 5), prompts=foreign))
    with pytest.raises(ConfigError, match="no prompt in common"):
        pair_runs([runs[0], other])


def test_a_missing_baseline_names_what_there_is(tmp_path: Path) -> None:
    run = load_run(run_of(tmp_path / "run", (5, 5, 5, 5)))
    with pytest.raises(ConfigError, match="identity/tabletop, template/tabletop"):
        pair_runs([run], "gpt-4o")


def test_a_lone_baseline_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    good = np.full((5, 1), 5.0)
    run = load_run(make_run(tmp_path / "run", {("identity", "tabletop"): (good, good)}))
    with pytest.raises(ConfigError, match="it is the only one"):
        pair_runs([run])


def test_failures_are_left_out_and_counted(tmp_path: Path) -> None:
    arm, baseline = scores(10, 5, 10, 10)
    good = np.full_like(arm, 5)
    broken = good.copy()
    broken[0], broken[1], broken[2] = np.nan, -1, -2
    arms = {("identity", "t"): (good, baseline), ("template", "t"): (broken, arm)}
    run = load_run(make_run(tmp_path / "run", arms))
    joint = compare_pairs(pair_runs([run]).pairs)[0]
    assert joint.result.unpaired == 3
    assert joint.result.wins == 7


def test_command_writes_json_and_csv(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", (40, 12, 50, 98))
    target = tmp_path / "differences.csv"
    done = CliRunner().invoke(app, [str(run), "--json", "--csv", str(target)])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["simulated"] is True
    joint = result["comparisons"][0]
    assert joint["measure"] == "joint"
    assert joint["difference"] == pytest.approx(0.14)
    with target.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(rows[0][key]) for key in ("difference", "p")] == [0.14, joint["p"]]
    again = CliRunner().invoke(app, [str(run), "--json"])
    assert json.loads(again.stdout) == result


def test_command_prints_sentences(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(run_of(tmp_path / "run", (40, 12, 50, 98)))])
    assert done.exit_code == 0
    assert "Simulated" in done.stdout
    assert "- template against identity (tabletop, kinematic) raises" in done.stdout


def test_paper_table_has_only_what_n_500_can_print() -> None:
    rates = read_reported(PAPER)
    assert len(rates) == 29
    for rate in rates:
        assert round(rate.rate * 1000) % 2 == 0
        assert rate.n == 500
        assert rate.source


def test_which_claims_of_the_paper_500_prompts_support() -> None:
    """z = 0.086 / sqrt(2 * 0.365 * 0.635 / 500) = 2.82, so p = 0.0047, times 4 (Holm) = 0.019."""
    found = {
        (claim.other.refiner, claim.subject.generator, claim.subject.measure): claim
        for claim in claims(read_reported(PAPER))
    }
    original = found["original prompt", "CogVideoX-2B", "joint"]
    assert original.verdict == "supported"
    assert original.p_adjusted == pytest.approx(0.019, abs=0.001)
    for other in ("GPT-4o", "DeepSeek-V3"):
        claim = found[other, "CogVideoX-2B", "joint"]
        assert claim.verdict == "undecided"
        assert "not supported by N = 500" in claim_sentence(claim)
    assert found["original prompt", "LaVie", "joint"].verdict == "undecided"
    worse = found["DeepSeek-V3", "CogVideoX-2B", "sa"]
    assert worse.difference < 0
    assert "any pairing" in claim_sentence(worse)


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "table.csv"
    broken.write_text(PAPER.read_text().replace("43.4", "many"))
    with pytest.raises(ConfigError, match="Line 2"):
        read_reported(broken)
    broken.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="Expected columns"):
        read_reported(broken)


@pytest.mark.slow
def test_100_000_items_are_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arms = {
        (name, "tabletop"): tuple(rng.integers(1, 6, (12_500, 4)).astype(float) for _ in range(2))
        for name in ("identity", "template")
    }
    folder = make_run(tmp_path / "run", arms)
    compared = compare_pairs(pair_runs([load_run(folder)]).pairs)
    assert {one.result.pairs for one in compared} == {50_000}
