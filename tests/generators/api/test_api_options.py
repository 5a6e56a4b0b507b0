"""Options, presets and the ledger of hosted services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tools.services.fake_service as fake
from tools.services.hosted_generators import ENDPOINT, both, clip, failure, make, one

from phybench.errors import ConfigError, MissingExtraError
from phybench.generators.api.ledger import CeilingError, Entry, Ledger
from phybench.plugins.contracts import ClipRequest, Generator, VideoSettings
from phybench.plugins.registry import create

pytestmark = pytest.mark.usefixtures("keys", "no_waiting")


@both
def test_run_wide_sizes_are_refused(service: fake.FakeService, tmp_path: Path, kind: str) -> None:
    request = ClipRequest("a", 1, settings=VideoSettings(width=640))
    assert (
        "hosted service" in failure(one(make(kind, service, tmp_path), request), "settings").message
    )


@both
def test_missing_key_stops_before_work(
    service: fake.FakeService, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "FAL_KEY" if kind == "fal" else "RUNWAYML_API_SECRET"
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigError, match=variable):
        make(kind, service, tmp_path)


@both
def test_missing_package_names_the_extra(
    service: fake.FakeService, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"phybench\[api\]"):
        make(kind, service, tmp_path)


@both
def test_fingerprint_holds_what_is_sent_and_no_key(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    base = make(kind, service, tmp_path).info
    assert isinstance(make(kind, service, tmp_path), Generator)
    assert "secret-key" not in json.dumps(dict(base.fingerprint))
    other = make(kind, service, tmp_path, arguments={"negativePrompt": "x"}).info
    assert other.fingerprint != base.fingerprint
    assert make(kind, service, tmp_path, max_usd=None, attempts=2).info == base


def test_presets_switch_the_vendors_rewriting_off(service: fake.FakeService) -> None:
    """Every hosted preset opens through the registry; rewriting is off where it has a switch."""
    switches = {
        "veo": ("auto_fix", False),
        "wan-hosted": ("enable_prompt_expansion", False),
        "hailuo": ("prompt_optimizer", False),
    }
    for name in ("pika", "kling", "veo", "wan-hosted", "hailuo"):
        fingerprint = create("generator", f"{name}:base_url={service.url}").info.fingerprint
        if name in switches:
            switch, value = switches[name]
            assert fingerprint["arguments"][switch] is value
        if name in {"pika", "kling"}:
            assert fingerprint["arguments"]["negative_prompt"] == ""


def test_arguments_can_be_given_in_a_spec(service: fake.FakeService, tmp_path: Path) -> None:
    spec = (
        f'fal:endpoint={ENDPOINT},arguments={{"duration":"5","seedless":true}},poll_s=0,'
        f"base_url={service.url},ledger={tmp_path / 'jobs.jsonl'}"
    )
    clip(one(create("generator", spec))).path.unlink()
    assert service.creates()[0].body["duration"] == "5"


def test_sora_says_that_it_is_gone() -> None:
    with pytest.raises(ConfigError, match="2026-09-24") as caught:
        create("generator", "sora")
    assert "-g files" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "pika"}, "model id"),
        ({"arguments": {"prompt": "x"}}, "leave out"),
        ({"base_url": "ftp://x"}, "http"),
        ({"base_url": "http://user:pass@x"}, "no credentials"),
    ],
)
def test_options_that_cannot_work_are_refused(
    service: fake.FakeService, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make("fal", service, tmp_path, **options)


def test_ledger_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    Ledger(path).record("a", Entry("submitted", {"id": "1"}, 0.5))
    with path.open("ab") as file:
        file.write(b'{"key": "b", "state": "subm')
    again = Ledger(path)
    assert again.claim("a", 1.0, again=False) == Entry("submitted", {"id": "1"}, 0.5)
    assert again.claim("b", 1.0, again=False) is None
    assert Ledger(path).claim("b", 1.0, again=False) == Entry("submitting", usd=1.0)


def test_ledger_refuses_what_would_pass_the_ceiling(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "jobs.jsonl")
    assert ledger.claim("a", 0.6, again=False, max_usd=1.0) is None
    with pytest.raises(CeilingError, match=r"0\.60"):
        ledger.claim("b", 0.6, again=False, max_usd=1.0)
    ledger.record("a", Entry("rejected"))
    assert ledger.claim("b", 0.6, again=False, max_usd=1.0) is None
