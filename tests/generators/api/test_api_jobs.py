from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tools.services.fake_service as fake
from hypothesis import given
from hypothesis import strategies as st
from tools.services.hosted_generators import ENDPOINT, LOOK, POST, both, clip, failure, make, one

pytest.importorskip("httpx")
pytest.importorskip("runwayml")
pytest.importorskip("tenacity")

from phybench.errors import ConfigError
from phybench.generators.api.options import cut_utf16, utf16_units
from phybench.plugins.contracts import ClipRequest, Failure, VideoFile
from phybench.video.video_file import probe

pytestmark = pytest.mark.usefixtures("keys", "no_waiting")


# --- the way of a clip ---------------------------------------------------------------------------


def test_runway_clip_from_request_to_file(service: fake.FakeService, tmp_path: Path) -> None:
    service.script(
        LOOK["runway"],
        fake.runway_task("THROTTLED"),
        fake.runway_task("PENDING"),
        fake.runway_task("RUNNING", progress=0.4),
        fake.runway_done(cost=55),
    )
    result = clip(one(make("runway", service, tmp_path, duration=5)))
    assert probe(result.path).frames == 4
    assert result.move
    assert result.meta["usd"] == pytest.approx(0.55)
    assert "http" not in json.dumps(dict(result.meta))
    (sent,) = service.creates()
    assert sent.body == {
        "model": "gen4.5",
        "promptText": "a ball falls",
        "ratio": "1280:720",
        "duration": 5,
        "seed": 7,
    }
    assert "x-stainless-retry-count" in sent.headers
    result.path.unlink()


def test_fal_clip_from_request_to_file(service: fake.FakeService, tmp_path: Path) -> None:
    service.script(
        LOOK["fal"],
        fake.fal_status("IN_QUEUE"),
        fake.fal_status("IN_PROGRESS"),
        fake.fal_status("COMPLETED"),
    )
    service.script(
        "GET /result",
        fake.answer(400, {"detail": "Request is still in progress"}),
        fake.fal_result(seed=7, actual_prompt="a ball, falling"),
    )
    generator = make("fal", service, tmp_path, arguments={"duration": "5", "negative_prompt": ""})
    result = clip(one(generator))
    assert probe(result.path).frames == 4
    assert result.meta["actual_prompt"] == "a ball, falling"
    (sent,) = service.creates()
    assert sent.path == f"/{ENDPOINT}"
    assert sent.body == {
        "prompt": "a ball falls",
        "duration": "5",
        "negative_prompt": "",
        "seed": 7,
    }
    download = next(request for request in service.requests if request.path.startswith("/out"))
    assert "authorization" not in download.headers
    result.path.unlink()


@both
def test_every_request_gets_its_own_clip_in_order(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    requests = [ClipRequest(f"prompt {index}", index) for index in range(5)]
    results = make(kind, service, tmp_path, concurrency=3).generate(requests)
    assert len({clip(result).path for result in results}) == 5
    assert service.jobs == 5
    for result in results:
        result.path.unlink()


# --- never paid twice ----------------------------------------------------------------------------


@both
def test_the_same_clip_is_never_created_twice(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    for _ in range(2):
        clip(one(make(kind, service, tmp_path))).path.unlink()
    assert service.jobs == 1
    clip(one(make(kind, service, tmp_path), ClipRequest("a ball falls", 7, k=1))).path.unlink()
    assert service.jobs == 2


@both
def test_a_lost_answer_is_not_repeated_without_a_word(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    normal = service.scripts[POST[kind]][0]
    service.script(POST[kind], fake.drop(), normal)
    for _ in range(3):
        lost = failure(one(make(kind, service, tmp_path)), "ambiguous_create")
        assert lost.retryable
        assert "resubmit_ambiguous=true" in lost.message
    assert service.jobs == 1
    clip(one(make(kind, service, tmp_path, resubmit_ambiguous=True))).path.unlink()
    assert service.jobs == 2


@both
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_on_create_is_ambiguous(
    service: fake.FakeService, tmp_path: Path, kind: str, status: int
) -> None:
    service.script(POST[kind], fake.answer(status, {"error": "oops"}))
    failure(one(make(kind, service, tmp_path)), "ambiguous_create")
    assert len(service.creates()) == 1


@both
def test_an_unreadable_answer_to_create_is_ambiguous(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script(POST[kind], fake.answer(200, b"<html>", content_type="text/html"))
    failure(one(make(kind, service, tmp_path)), "ambiguous_create")
    assert len(service.creates()) == 1


# --- refusals and errors -------------------------------------------------------------------------


@both
def test_too_many_requests_is_repeated_because_nothing_was_made(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    normal = service.scripts[POST[kind]][0]
    busy = fake.answer(429, {"error": "slow down"}, Retry_After="1")
    service.script(POST[kind], busy, busy, normal)
    clip(one(make(kind, service, tmp_path))).path.unlink()
    assert len(service.creates()) == 3
    assert service.jobs == 1


@both
def test_a_wait_beyond_the_budget_ends_the_attempts(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script(POST[kind], fake.answer(429, {"error": "later"}, Retry_After="3000"))
    assert failure(one(make(kind, service, tmp_path)), "rate-limit").retryable
    assert len(service.creates()) == 1


@both
@pytest.mark.parametrize(
    ("status", "body", "kind_of_failure", "retryable"),
    [
        (401, {"error": "bad key"}, "auth", True),
        (402, {"error": "no credit"}, "credit", True),
        (422, {"detail": [{"type": "content_policy_violation"}]}, "refused_input", False),
        (400, {"error": "duration must be 2-10", "issues": []}, "request", False),
        (429, {"error": "daily generations used up"}, "daily-limit", True),
    ],
)
def test_refusals_before_the_job(
    service: fake.FakeService,
    tmp_path: Path,
    kind: str,
    status: int,
    body: Any,
    kind_of_failure: str,
    retryable: bool,
) -> None:
    normal = service.scripts[POST[kind]][0]
    service.script(POST[kind], fake.answer(status, body), normal)
    assert failure(one(make(kind, service, tmp_path)), kind_of_failure).retryable is retryable
    clip(one(make(kind, service, tmp_path))).path.unlink()


@both
def test_a_refused_key_stops_the_rest_of_the_batch(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script(POST[kind], fake.answer(401, {"error": "bad key"}))
    requests = [ClipRequest(f"prompt {index}", index) for index in range(6)]
    results = make(kind, service, tmp_path, concurrency=1).generate(requests)
    assert [failure(result, "auth").kind for result in results] == ["auth"] * 6
    assert len(service.creates()) == 1


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("SAFETY.INPUT.TEXT", "refused_input", False),
        ("SAFETY.OUTPUT.VIDEO", "refused_output", False),
        ("INTERNAL.BAD_OUTPUT.CODE01", "server", True),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", "server", False),
        (None, "server", False),
    ],
)
def test_runway_task_failures_by_code(
    service: fake.FakeService, tmp_path: Path, code: str | None, kind: str, retryable: bool
) -> None:
    task = fake.runway_task("FAILED", failure="no", failureCode=code, cost={"credits": 0})
    service.script(LOOK["runway"], task)
    result = failure(one(make("runway", service, tmp_path)), kind)
    assert result.retryable is retryable
    assert str(code or "no code") in result.message
    again = failure(one(make("runway", service, tmp_path)), kind)
    assert service.jobs == (2 if retryable else 1)
    assert again == result


def test_runway_cancelled_task_ends(service: fake.FakeService, tmp_path: Path) -> None:
    service.script(LOOK["runway"], fake.runway_task("CANCELLED", cost={"credits": 0}))
    failure(one(make("runway", service, tmp_path)), "cancelled")


@pytest.mark.parametrize(
    ("result", "kind", "retryable"),
    [
        (
            fake.answer(422, {"detail": [{"type": "content_policy_violation"}]}),
            "refused_input",
            False,
        ),
        (fake.answer(422, {"detail": "bad"}), "request", False),
        (fake.answer(422, {"detail": "x"}, X_Fal_Retryable="true"), "server", True),
        (fake.answer(504, {"detail": "generation_timeout"}), "server", True),
        (fake.answer(200, {"image": {}}), "protocol", False),
    ],
)
def test_fal_jobs_that_complete_without_a_clip(
    service: fake.FakeService, tmp_path: Path, result: fake.Action, kind: str, retryable: bool
) -> None:
    service.script("GET /result", result)
    assert failure(one(make("fal", service, tmp_path)), kind).retryable is retryable


def test_fal_key_goes_to_no_other_host(service: fake.FakeService, tmp_path: Path) -> None:
    elsewhere = {"request_id": "r1", "status_url": "http://other.invalid/s", "response_url": "x"}
    service.script(POST["fal"], fake.answer(200, elsewhere))
    assert "not its own" in failure(one(make("fal", service, tmp_path)), "protocol").message


@both
def test_polling_survives_errors_and_unknown_words(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    finished = service.scripts[LOOK[kind]][0]
    service.script(
        LOOK[kind],
        fake.answer(503, {"error": "busy"}),
        fake.answer(200, b"{trunc"),
        fake.answer(502, b"<html>bad gateway</html>", content_type="text/html"),
        finished,
    )
    clip(one(make(kind, service, tmp_path))).path.unlink()
    service.script(LOOK[kind], fake.answer(200, {"status": "DREAMING"}), finished)
    strange = failure(one(make(kind, service, tmp_path), ClipRequest("other", 1)), "protocol")
    assert strange.retryable
    assert service.jobs == 2


@both
def test_a_job_that_takes_too_long_can_be_asked_for_later(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    finished = service.scripts[LOOK[kind]][0]
    running = fake.runway_task("RUNNING") if kind == "runway" else fake.fal_status("IN_PROGRESS")
    service.script(LOOK[kind], running)
    assert failure(one(make(kind, service, tmp_path, job_s=0.05)), "timeout").retryable
    service.script(LOOK[kind], finished)
    clip(one(make(kind, service, tmp_path))).path.unlink()
    assert service.jobs == 1


@both
def test_unreachable_service_made_nothing(tmp_path: Path, kind: str) -> None:
    nobody = fake.FakeService(b"", url="http://127.0.0.1:9")
    assert failure(one(make(kind, nobody, tmp_path, attempts=2)), "connection").retryable


# --- options, money, text ------------------------------------------------------------------------


@both
def test_ceiling_counts_what_the_ledger_knows(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    seconds = {"seconds": 5} if kind == "fal" else {"duration": 5}
    options = {**seconds, "usd_per_second": 0.12, "max_usd": 1.3, "concurrency": 1}
    requests = [ClipRequest(f"prompt {index}", index) for index in range(4)]
    generator = make(kind, service, tmp_path, **options)
    assert generator.info.usd_per_unit == pytest.approx(0.6)
    results = generator.generate(requests)
    kinds = [result.kind if isinstance(result, Failure) else "clip" for result in results]
    assert kinds == ["clip", "clip", "cost-limit", "cost-limit"]
    assert service.jobs == 2
    again = make(kind, service, tmp_path, **options).generate(requests)
    assert [isinstance(result, VideoFile) for result in again] == [True, True, False, False]
    for result in (*results[:2], *again[:2]):
        result.path.unlink()


@both
def test_ceiling_needs_a_price(service: fake.FakeService, tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match="usd_per_second"):
        make(kind, service, tmp_path, max_usd=5.0)


def test_prompts_are_counted_as_runway_counts(service: fake.FakeService, tmp_path: Path) -> None:
    generator = make("runway", service, tmp_path)
    assert generator.count_tokens(["ball", "🎾"]) == [4, 2]
    assert generator.info.prompt_budget == 1000
    failure(one(generator, ClipRequest("x" * 1001, 1)), "over_budget")
    assert not service.creates()
    cutting = make("runway", service, tmp_path, over_budget="truncate")
    result = clip(one(cutting, ClipRequest("x" * 999 + "🎾", 1)))
    assert result.meta["truncated"] is True
    assert service.creates()[0].body["promptText"] == "x" * 999
    result.path.unlink()


@given(st.text(), st.integers(0, 20))
def test_cut_text_is_the_longest_beginning_that_fits(text: str, units: int) -> None:
    cut = cut_utf16(text, units)
    assert text.startswith(cut)
    assert utf16_units(cut) <= units
    assert len(cut) == len(text) or utf16_units(text[: len(cut) + 1]) > units


# --- the ledger ----------------------------------------------------------------------------------
