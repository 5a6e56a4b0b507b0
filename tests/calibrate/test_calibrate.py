from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa
from tools.harness import do_run, run_config
from tools.made_runs import make_run
from tools.places import SHARED
from typer.testing import CliRunner

from phybench.calibrate.agreement import agreement
from phybench.calibrate.prediction_powered import corrected_rate
from phybench.calibrate.ranking import rank_correlations, ranking
from phybench.calibrate.scores import from_run, human_labels
from phybench.cli.calibrate import calibrate as calibrate_command
from phybench.errors import ConfigError
from phybench.plugins.contracts import BINARY, LIKERT, PROBABILITY
from phybench.runs.cells import load_run

LABELS = SHARED / "data" / "videophy1" / "human_labels.csv"


def paired_scores(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    human = rng.integers(1, 6, n).astype(float)
    judge = np.clip(human + rng.integers(-2, 3, n), 1, 5)
    return judge, human, np.arange(n)


def test_metrics_agree_with_scipy_and_statsmodels() -> None:
    judge, human, prompts = paired_scores(150, 0)
    found = {
        name: estimate.value
        for name, estimate in agreement(judge, human, prompts, LIKERT, LIKERT).metrics.items()
    }
    success = human >= 4
    table = np.histogram2d(judge, human, bins=[np.arange(0.5, 6)] * 2)[0]
    auc = stats.mannwhitneyu(judge[success], judge[~success]).statistic
    expected = {
        "pearson": stats.pearsonr(judge, human).statistic,
        "spearman": stats.spearmanr(judge, human).statistic,
        "kendall": stats.kendalltau(judge, human).statistic,
        "kappa": cohens_kappa(table, wt="quadratic").kappa,
        "auc": auc / (success.sum() * (~success).sum()),
        "accuracy": ((judge >= 4) == success).mean(),
    }
    assert found == pytest.approx(expected)


def test_continuous_judges_agree_with_scipy_too() -> None:
    rng = np.random.default_rng(1)
    human = (rng.random(200) < 0.4).astype(float)
    judge = np.clip(0.3 * human + rng.random(200) * 0.7, 0, 1)
    found = agreement(judge, human, np.arange(200), PROBABILITY, BINARY).metrics
    assert found["kendall"].value == pytest.approx(stats.kendalltau(judge, human).statistic)
    table = np.histogram2d(judge >= 0.5, human, bins=[[-0.5, 0.5, 1.5]] * 2)[0]
    assert found["kappa"].value == pytest.approx(cohens_kappa(table).kappa)


def rated(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x, noise = rng.standard_normal((2, n))
    human, judge = (np.clip(np.round(3 + part), 1, 5) for part in (x, 0.6 * x + 0.8 * noise))
    return judge, human


@pytest.mark.slow
def test_intervals_cover_the_true_correlation() -> None:
    rng = np.random.default_rng(2)
    truth = float(np.corrcoef(*rated(rng, 400_000))[0, 1])
    covered = []
    for run in range(150):
        found = agreement(*rated(rng, 120), np.arange(120), LIKERT, LIKERT, seed=run)
        covered.append(truth in found.metrics["pearson"].interval)
    # 150 runs: three standard errors are 5.3 points.
    assert np.mean(covered) >= 0.95 - 0.06


def test_prompts_are_the_units() -> None:
    """Copies of every clip add no evidence, so the interval must not shrink."""
    judge, human, prompts = paired_scores(60, 3)
    once = agreement(judge, human, prompts, LIKERT, LIKERT).metrics["pearson"].interval
    copied = [np.tile(part, 4) for part in (judge, human, prompts)]
    four = agreement(*copied, LIKERT, LIKERT).metrics["pearson"].interval
    assert four.high - four.low == pytest.approx(once.high - once.low, rel=0.01)


def test_a_constant_judge_has_no_correlation_and_an_auc_of_one_half() -> None:
    _, human, prompts = paired_scores(100, 4)
    metrics = agreement(np.full(100, 4.0), human, prompts, LIKERT, LIKERT).metrics
    assert math.isnan(metrics["pearson"].value)
    assert math.isnan(metrics["pearson"].interval.low)
    assert metrics["auc"].value == 0.5
    assert metrics["kappa"].value == pytest.approx(0, abs=1e-12)


def test_no_common_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="there is none"):
        agreement([math.nan, 1], [1, math.nan], [0, 1], LIKERT, LIKERT)


def test_published_ranks_of_generators_by_videophy2_people_and_its_judge() -> None:
    """VideoPhy-2 (README) against its AutoEval (issue 9), joint %: the ranks are unrelated.

    CogVideoX-5B, Cosmos, Sora, Ray2, HunyuanVideo, VideoCrafter2, Wan2.1.
    """
    human = [25.0, 24.1, 23.3, 20.3, 17.2, 10.5, 32.6]
    judge = [19.5, 14.7, 21.7, 17.5, 19.6, 16.4, 16.9]
    spearman, kendall = rank_correlations(human, judge)
    assert spearman == pytest.approx(-0.07, abs=0.005)
    assert kendall == pytest.approx(-0.05, abs=0.005)


def test_ranking_counts_only_pairs_that_people_tell_apart() -> None:
    rng = np.random.default_rng(5)
    rates = {"a": 0.8, "b": 0.45, "c": 0.1}
    names = np.repeat(list(rates), 120)
    human = (rng.random(360) < np.repeat(list(rates.values()), 120)).astype(float)
    prompts = np.tile(np.arange(120), 3)
    found = ranking(human, human, prompts, list(names))
    assert found.generators == ("a", "b", "c")
    assert (found.separated, found.same_order) == (3, 3)
    assert found.spearman.value == pytest.approx(1)
    upside_down = ranking(1 - human, human, prompts, list(names))
    assert (upside_down.separated, upside_down.same_order) == (3, 0)


@pytest.mark.slow
@pytest.mark.skipif(not LABELS.exists(), reason="VideoPhy-1 labels are not there")
def test_videophy1_human_labels_give_the_published_table() -> None:
    """Joint, SA and PC of VideoPhy-1's README, in per cent.

    0.11, because the README prints 19.0 where 65 of 344 labels are 18.895.
    """
    with LABELS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sources = [row["source"] for row in rows]
    sa, pc = (
        np.array([float(row[name]) for row in rows]) for name in ("majority_sa", "majority_pc")
    )
    prompts = [row["caption"] for row in rows]
    found = {}
    for measure, success in (("joint", sa * pc), ("sa", sa), ("pc", pc)):
        board = ranking(success, success, prompts, sources)
        for name, rate in zip(board.generators, board.human, strict=True):
            found[name, measure] = rate
    published = {
        "CogVideoX-5B": (39.6, 63.3, 53.0),
        "pika": (19.7, 41.1, 36.5),
        "vc2": (19.0, 48.5, 34.6),
        "CogVideoX-2B": (18.6, 47.2, 34.1),
        "lavie": (15.7, 48.7, 28.0),
        "Dream Machine (LumaAI)": (13.6, 61.9, 21.8),
        "opensora": (4.9, 18.0, 23.5),
    }
    for name, numbers in published.items():
        for measure, number in zip(("joint", "sa", "pc"), numbers, strict=True):
            rate = found[name, measure]
            assert 100 * rate.rate == pytest.approx(number, abs=0.11)
            assert rate.rate in rate.interval
    # SA and PC are different questions: their agreement over the same clips is far from perfect.
    metrics = agreement(sa, pc, prompts, BINARY, BINARY).metrics
    assert metrics["pearson"].value == pytest.approx(stats.pearsonr(sa, pc).statistic)
    assert 0 < metrics["pearson"].interval.low < metrics["pearson"].interval.high < 0.5


def ppi_case(
    rng: np.random.Generator, prompts: int, informative: float
) -> tuple[np.ndarray, np.ndarray]:
    """Human labels on 20 % of the prompts, a biased judge everywhere; the true rate is 0.4."""
    hard = rng.beta(1.2, 1.8, (prompts, 1))
    truth = (rng.random((prompts, 2)) < hard).astype(float)
    guess = (rng.random((prompts, 2)) < 0.6).astype(float)
    judge = np.where(rng.random((prompts, 2)) < informative, np.maximum(truth, 0), guess)
    human = truth.copy()
    human[rng.random(prompts) > 0.2] = np.nan
    return human, judge


@pytest.mark.parametrize("informative", [0.0, 0.5, 0.9])
def test_ppi_intervals_cover_and_shrink_when_the_judge_knows(informative: float) -> None:
    rng = np.random.default_rng(round(10 * informative))
    covered, ratios = [], []
    for _ in range(400):
        found = corrected_rate(*ppi_case(rng, 400, informative))
        covered.append(0.4 in found.interval)
        alone = found.labels_only.interval
        ratios.append((found.interval.high - found.interval.low) / (alone.high - alone.low))
    # 400 runs: three standard errors are 3.3 points.
    assert 0.95 - 0.035 <= np.mean(covered) <= 0.95 + 0.035
    limit = {0.0: 1.05, 0.5: 0.97, 0.9: 0.75}[informative]
    assert np.mean(ratios) < limit


def test_ppi_corrects_a_judge_that_is_too_kind() -> None:
    rng = np.random.default_rng(0)
    human, judge = ppi_case(rng, 3000, 0.6)
    found = corrected_rate(human, judge)
    assert found.judge_only.rate == pytest.approx(0.48, abs=0.02)
    assert found.rate == pytest.approx(0.4, abs=0.03)
    assert 0 < found.weight <= 1


def test_ppi_agrees_with_the_published_formula() -> None:
    """With one clip per prompt and disjoint samples: the plug-in variance of PPI++."""
    rng = np.random.default_rng(1)
    y = (rng.random(60) < 0.5).astype(float)
    f = np.where(rng.random(60) < 0.8, y, 1 - y)
    free = (rng.random(500) < 0.5).astype(float)
    human = np.concatenate([y, np.full(500, np.nan)])[:, None]
    found = corrected_rate(human, np.concatenate([f, free])[:, None])
    weight = found.weight
    variance = (y - weight * f).var() / 60 + weight**2 * free.var() / 500
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 59) * math.sqrt(variance), rel=0.005)
    assert found.rate == pytest.approx(y.mean() + weight * (free.mean() - f.mean()))


def test_ppi_without_enough_labels_gives_no_number() -> None:
    human = np.full((50, 1), np.nan)
    human[:5] = 1
    found = corrected_rate(human, np.ones((50, 1)))
    assert math.isnan(found.rate)
    full = corrected_rate(np.ones((50, 1)), np.ones((50, 1)))
    assert full.interval == full.labels_only.interval


CALIBRATE = typer.Typer()
CALIBRATE.command()(calibrate_command)
CLIPS = SHARED / "data" / "videophy2"


def two_judges(folder: Path, labelled: int) -> Path:
    """One run with two judges: the second run's scores are appended to the first's."""
    rng = np.random.default_rng(0)
    sa = rng.integers(1, 6, (120, 2)).astype(float)
    people = sa.copy()
    people[labelled:] = -1
    arms = [("identity", "x"), ("identity", "y")]
    run = make_run(folder, dict.fromkeys(arms, (sa, sa)), judge="vlm")
    other = make_run(
        folder.with_name("other"), dict.fromkeys(arms, (people, people)), judge="labels"
    )
    header, second = (json.loads((each / "run.json").read_text()) for each in (run, other))
    header["plugins"]["judge"] += second["plugins"]["judge"]
    (run / "run.json").write_text(json.dumps(header))
    with (run / "scores.jsonl").open("a") as file:
        file.write((other / "scores.jsonl").read_text())
    return run


def test_a_run_with_two_judges_is_calibrated(tmp_path: Path) -> None:
    run = two_judges(tmp_path / "run", labelled=40)
    done = CliRunner().invoke(CALIBRATE, ["-j", "vlm", "--run", str(run), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["agreement"]["sa"]["pearson"]["value"] == 1
    assert found["agreement"]["joint"]["n"] == 160
    corrected = found["corrected"]["identity × x"]
    assert (corrected["labelled"], corrected["unlabelled"]) == (80, 160)
    width = corrected["high"] - corrected["low"]
    assert width < corrected["labels_only"]["high"] - corrected["labels_only"]["low"]
    page = tmp_path / "page.md"
    CliRunner().invoke(CALIBRATE, ["-j", "vlm", "--run", str(run), "-o", str(page)])
    assert "prediction-powered" in page.read_text()


@pytest.mark.slow
def test_kinematic_agrees_with_the_truth_of_tabletop(tmp_path: Path) -> None:
    """Pixels against the simulator's truth, on clips of prompts that leave much unsaid."""
    config = run_config(
        None,
        refiners=("identity",),
        generators=("tabletop",),
        judges=("kinematic", "oracle"),
        seeds=1,
        limit=60,
    )
    do_run(config, tmp_path / "run", tmp_path / "cache")
    arguments = ["-j", "kinematic", "--run", str(tmp_path / "run"), "--human", "oracle", "--json"]
    found = json.loads(CliRunner().invoke(CALIBRATE, arguments).stdout)
    joint, pc = (found["agreement"][name] for name in ("joint", "pc"))
    assert joint["n"] == pc["n"] == 60
    assert pc["accuracy"]["value"] >= 0.9
    assert joint["accuracy"]["value"] >= 0.85
    assert pc["auc"]["low"] > 0.8


def test_unknown_judges_of_a_run_are_named(tmp_path: Path) -> None:
    run = load_run(two_judges(tmp_path / "run", labelled=40))
    with pytest.raises(ConfigError, match="has vlm, labels"):
        from_run(run, "gpt", "labels")


def test_labels_off_the_scale_are_refused() -> None:
    def rows(*values: object) -> list[dict[str, object]]:
        return [{"sa": value, "pc": 1} for value in values]

    assert human_labels(rows(0, 1, ""), Path("t.csv")).scale == BINARY
    assert human_labels(rows(3, 5), Path("t.csv")).scale == LIKERT
    with pytest.raises(ConfigError, match="range from 1 to 7"):
        human_labels(rows(3, 7), Path("t.csv"))
    with pytest.raises(ConfigError, match="row 2"):
        human_labels(rows(3, "good"), Path("t.csv"))
    with pytest.raises(ConfigError, match="All labels"):
        human_labels(rows(1, 1), Path("t.csv"))


@pytest.mark.skipif(not CLIPS.exists(), reason="VideoPhy-2 clips are not there")
def test_real_clips_are_judged_and_compared(tmp_path: Path) -> None:
    """The published scores as labels, and as a judge: they agree with themselves."""
    sa, pc = (_published(CLIPS / f"output_{name}.csv") for name in ("sa", "pc"))
    table = tmp_path / "labels.csv"
    with (CLIPS / "sa_pc.csv").open(newline="") as file, table.open("w", newline="") as target:
        rows = list(csv.DictReader(file))
        writer = csv.DictWriter(target, [*rows[0], "sa", "pc"])
        writer.writeheader()
        for row in rows:
            name = Path(row["videopath"]).name
            writer.writerow({**row, "sa": sa[name], "pc": pc[name]})
    spec = f"labels:sa={CLIPS / 'output_sa.csv'},pc={CLIPS / 'output_pc.csv'},unmatched=unscored"
    arguments = ["-j", spec, "--labels", str(table), "--root", str(CLIPS / "clips"), "--json"]
    done = CliRunner().invoke(CALIBRATE, [*arguments, "--cache", str(tmp_path / "cache")])
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["agreement"]["joint"]["n"] == len(rows)
    assert found["agreement"]["joint"]["accuracy"]["value"] == 1


def _published(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {Path(row["videopath"]).name: row["score"] for row in csv.DictReader(file)}
