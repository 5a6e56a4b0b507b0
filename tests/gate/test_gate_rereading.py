"""The gate's parser level on runs of real judges, on a machine that could not run them."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import tools.services.fake_openai as fake
from tools.harness import do_run, run_config

from phybench import ConfigError, Failure, PluginInfo, Score
from phybench.gate.baseline import Baseline, Policy, record_baseline
from phybench.gate.check import check_run
from phybench.gate.findings import CheckOutcome, GateFinding
from phybench.judges.ensemble import combining
from phybench.judges.ratings import rating_replies
from phybench.judges.vlm import replies as vlm_replies
from phybench.plugins import registry
from phybench.plugins.spec import parse_spec

FRAMES = "frames=8,width=64,height=64"


def frozen(folder: Path, *judges: str, count: int = 8) -> Baseline:
    """The baseline of a run on tabletop clips."""
    config = run_config(
        None,
        refiners=("identity",),
        generators=("tabletop",),
        judges=judges,
        seeds=1,
        limit=count,
    )
    do_run(config, folder, folder.with_name("cache"))
    return record_baseline(folder, Policy(judge_tolerance=4))


def parser(baseline: Baseline, folder: Path) -> GateFinding:
    (finding,) = [each for each in check_run(baseline, folder) if each.level == "parser"]
    return finding


@pytest.fixture
def owl(tmp_path: Path):
    """Writes a tiny checkpoint: `table` says which token follows which, else it is random."""
    torch = pytest.importorskip("torch")
    import tools.models.owl_checkpoint as tiny

    torch.set_num_threads(1)

    def write(digit: str = "") -> Path:
        config = tiny.sizes()
        state = tiny.random_state(config, seed=5)
        if digit:
            import sentencepiece

            tiny.train_tokenizer(tmp_path / "tokenizer.model")
            pieces = sentencepiece.SentencePieceProcessor(
                model_file=str(tmp_path / "tokenizer.model")
            )
            said = pieces.piece_to_id(digit)
            table = {pieces.piece_to_id("▁"): {said: 20.0}, said: {2: 20.0}}
            state = tiny.markov(state, table)
        return tiny.write_checkpoint(tmp_path / "owl", config, state)

    return write


@pytest.mark.parametrize(
    ("reading", "digit", "part", "changed"),
    [
        ("strict", "4", "read_rating", lambda *_: 3),
        ("faithful", "", "first_key", lambda _: 2),
        ("expected", "", "_expected", lambda _, is_rating: 2.0),
    ],
)
def test_videophy2_is_reread_without_its_weights(
    tmp_path, owl, monkeypatch, reading, digit, part, changed
):
    judge = f"videophy2:model={owl(digit)},reading={reading},max_new_tokens=6,as=judge"
    baseline = frozen(tmp_path / "run", judge, count=4)
    shutil.rmtree(tmp_path / "owl")
    same = parser(baseline, tmp_path / "run")
    assert (same.outcome, same.numbers) == (CheckOutcome.OK, {"replies": 4, "changed": 0})
    monkeypatch.setattr(rating_replies, part, changed)
    other = parser(baseline, tmp_path / "run")
    assert other.outcome is CheckOutcome.FAIL
    assert other.numbers["changed"] >= 1


def rating(sa, pc, **fields):
    return json.dumps({"sa": sa, "pc": pc, "assessable": True, "reason": "", **fields})


ACTIONS = [
    fake.reply(rating(4, 2)),
    fake.reply(f"Here: {rating('4/5', 'five')}"),
    fake.reply(rating("between 3 and 4", 2)),
    fake.reply("no idea"),
    fake.reply(rating(None, None, assessable=False)),
    fake.refusal(rating(5, 5)),
    # Whole but for the end mark: cut, so it was never read and must not be read now.
    fake.reply(rating(5, 5), finish_reason="length"),
    fake.status(500),
]


def by_prompt(body):
    """Each prompt has its own answer, whatever comes first."""
    text = body["messages"][-1]["content"][-1]["text"]
    return by_prompt.actions.setdefault(text, ACTIONS[len(by_prompt.actions) % len(ACTIONS)])


@pytest.mark.parametrize(
    ("options", "replies"),
    [("", 5), (",samples=3,temperature=0.5", 5), (",samples=3,temperature=0.5,combine=mean", 5)],
)
def test_vlm_is_reread_without_server_and_key(tmp_path, monkeypatch, options, replies):
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    by_prompt.actions = {}
    with fake.FakeOpenAI(by_prompt) as server:
        judge = (
            f"vlm:model=fake-model,base_url={server.url},key_env=JUDGE_KEY,attempts=1,"
            f"concurrency=1,frames=2,as=judge{options}"
        )
        baseline = frozen(tmp_path / "run", judge)
    monkeypatch.delenv("JUDGE_KEY")
    same = parser(baseline, tmp_path / "run")
    assert (same.outcome, same.numbers) == (CheckOutcome.OK, {"replies": replies, "changed": 0})
    # A reader of plain numbers only: "4/5" becomes unreadable.
    monkeypatch.setattr(vlm_replies, "read_rating", lambda *_: None)
    other = parser(baseline, tmp_path / "run")
    assert (other.outcome, other.numbers["changed"]) == (CheckOutcome.FAIL, 1)


def test_an_ensemble_is_reread_with_its_members_parsers(tmp_path, owl, monkeypatch):
    by_prompt.actions = {}
    with fake.FakeOpenAI(by_prompt) as server:
        members = (
            f"videophy2:model={owl('3')},max_new_tokens=6"
            f"|vlm:model=fake-model,base_url={server.url},attempts=1,concurrency=1,frames=2"
        )
        baseline = frozen(tmp_path / "run", f"ensemble:members=[{members}],as=judge")
    shutil.rmtree(tmp_path / "owl")
    same = parser(baseline, tmp_path / "run")
    assert (same.outcome, same.numbers) == (CheckOutcome.OK, {"replies": 5, "changed": 0})
    with monkeypatch.context() as patch:
        patch.setattr(rating_replies, "read_rating", lambda *_: 5)
        assert parser(baseline, tmp_path / "run").numbers["changed"] == 2
    monkeypatch.setitem(combining._MERGES, "mean", min)
    assert parser(baseline, tmp_path / "run").outcome is CheckOutcome.FAIL


def test_a_judge_without_replies_is_not_reread(tmp_path):
    baseline = frozen(tmp_path / "run", "oracle", count=2)
    assert parser(baseline, tmp_path / "run").outcome is CheckOutcome.SKIPPED


class Plain:
    """A third party's judge that can read its replies without further ado."""

    info = PluginInfo(name="plain", revision="1", licence="MIT", fingerprint={})

    def __init__(self, *, low: int = 1) -> None:
        self.low = low

    def score(self, requests):
        return [self.reread("4") for _ in requests]

    def reread(self, reply):
        return Score(self.low, float(reply)) if reply.isdigit() else Failure("parse", "no number")


class Refuses(Plain):
    """One whose constructor needs what is not here, and that offers no reader without it."""

    def __init__(self) -> None:
        raise ConfigError("no weights")


@pytest.mark.parametrize("name", ["Plain", "Refuses"])
def test_a_judge_of_ones_own_needs_only_the_method(monkeypatch, name):
    entry = EntryPoint("own", f"{__name__}:{name}", "phybench.judges")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    if name == "Refuses":
        with pytest.raises(ConfigError, match="no weights"):
            registry.open_rereader(parse_spec("own"))
        return
    reader = registry.open_rereader(parse_spec("own:low=2"))
    assert (reader.reread("4").sa, reader.reread("4").pc) == (2, 4)
    assert registry.open_rereader(parse_spec("own:python=/elsewhere")) is None


def test_presets_can_be_reread_without_their_keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    reader = registry.open_rereader(parse_spec("gpt-5.5-judge"))
    assert reader.reread(rating(4, 2)).pc == 2
