"""The reward's stages with real worker processes: what overlaps, and who gets what."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest
from tools.training import waiting_plugins

from phybench.plugins.contracts import Clip, ClipRequest
from phybench.plugins.spec import make_spec
from phybench.training.stage2.clip_scores import ClipScores, Sample
from phybench.workers.choice import make_executor
from phybench.workers.opening import open_plugin


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Opens the waiting plugins, registered for worker processes too."""
    site, events = tmp_path / "site", tmp_path / "events"
    about = site / "waiting-1.0.dist-info"
    about.mkdir(parents=True)
    events.mkdir()
    shutil.copy(waiting_plugins.__file__, site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: waiting\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(waiting_plugins.ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    made = []

    def start(workers, **options):
        generator = make_spec("waiting-generator", {"folder": str(events), **options})
        judge = make_spec("marking-judge", {"folder": str(events)})
        parts = open_plugin("generator", generator), [open_plugin("judge", judge)]
        made.append(
            ClipScores(*parts, tmp_path / "cache", partial(make_executor, "local", workers=workers))
        )
        return made[-1]

    start.events = events
    yield start
    for one in made:
        one.close()


def ask(scores, *texts):
    samples = [Sample("a prompt", ClipRequest(text, 0), (0,)) for text in texts]
    return [future.result(60) for future in scores.submit(samples)]


def test_a_clip_is_judged_while_the_next_is_being_made(service):
    first, second = ask(service(workers=1), "first", "second, after judge")
    assert isinstance(first.clip, Clip)
    assert isinstance(second.clip, Clip), second.clip
    assert second.scores[0].sa == 4.0


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_a_rollout_even_if_one_could_take_it_whole(service, workers):
    texts = [f"text {number}" for number in range(8)]
    found = ask(service(workers=workers, together=workers, batch=64), *texts)
    assert all(isinstance(one.clip, Clip) for one in found), found
    sizes = [int(path.name.rpartition("-")[2]) for path in Path(service.events).glob("batch-*")]
    assert sizes == [8 // workers] * workers


def test_answers_belong_to_their_samples_whoever_made_them(service):
    texts = [f"text {number}" for number in range(7)]
    found = ask(service(workers=2), *texts, "text 3")
    assert [one.clip.source for one in found] == [*texts, "text 3"]
