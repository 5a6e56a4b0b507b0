"""From a finished job to a clip on disk, over real HTTP, when the clip's host misbehaves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import tools.services.fake_service as fake
from tools.services.hosted_generators import LOOK, both, clip, failure, make, one

pytest.importorskip("httpx")
pytest.importorskip("runwayml")
pytest.importorskip("tenacity")

from phybench.generators.api import transport
from phybench.generators.api.transport import download
from phybench.video.video_file import probe

pytestmark = pytest.mark.usefixtures("keys", "no_waiting")


@pytest.fixture(autouse=True)
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where downloads are written; whatever is not handed over must be gone in the end."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def streamable_clip(folder: Path) -> bytes:
    """A clip whose index comes first, as hosts serve them: its beginning alone can be opened."""
    path = folder / "streamable.mp4"
    options = {"movflags": "faststart"}
    with av.open(str(path), "w", options=options) as target:
        stream = target.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for image in np.random.default_rng(0).integers(0, 255, (16, 64, 64, 3), dtype=np.uint8):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        target.mux(stream.encode())
    return path.read_bytes()


def ending(action: fake.Action) -> fake.Action:
    """An answer after which the host hangs up."""

    def act(handler: fake.Handler) -> None:
        handler.close_connection = True
        action(handler)

    return act


def headless(body: bytes, *headers: tuple[str, str]) -> fake.Action:
    """Send bytes as they are, without saying how many, and hang up."""

    def act(handler: fake.Handler) -> None:
        handler.send_response(200)
        for name, value in (("Connection", "close"), *headers):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return ending(act)


@both
@pytest.mark.parametrize(
    "body",
    [b"", b"not a video", b"<html><body>Please log in</body></html>"],
    ids=["nothing", "text", "page"],
)
def test_what_is_no_clip_is_a_failure_and_never_a_clip(
    service: fake.FakeService, tmp_path: Path, kind: str, body: bytes
) -> None:
    service.script("GET /out", fake.answer(200, body, content_type="video/mp4"))
    assert failure(one(make(kind, service, tmp_path)), "decode").retryable
    assert service.jobs == 1


@both
@pytest.mark.parametrize("told", ["length", "chunks"])
def test_a_clip_cut_on_the_way_is_fetched_again(
    service: fake.FakeService, tmp_path: Path, kind: str, told: str
) -> None:
    half = service.clip[: len(service.clip) // 2]
    cut = (
        ending(fake.answer(200, half, length=str(len(service.clip))))
        if told == "length"
        else headless(b"%x\r\n%b\r\n" % (len(half), half), ("Transfer-Encoding", "chunked"))
    )
    service.script("GET /out", cut, fake.clip())
    whole = clip(one(make(kind, service, tmp_path)))
    assert whole.path.read_bytes() == service.clip
    whole.path.unlink()
    service.script("GET /out", cut)
    other = make(kind, service, tmp_path / "other", attempts=2)
    assert failure(one(other), "connection").retryable


@both
def test_a_clip_cut_without_a_word_is_noticed_by_decoding(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    """No length, no chunks, and an index that promises all frames: only the pictures are gone."""
    whole = streamable_clip(tmp_path)
    service.script("GET /out", headless(whole[: len(whole) * 2 // 3]))
    assert failure(one(make(kind, service, tmp_path)), "decode").retryable
    service.script("GET /out", headless(whole))
    made = clip(one(make(kind, service, tmp_path)))
    assert probe(made.path).frames == 16
    assert service.jobs == 1
    made.path.unlink()


@both
@pytest.mark.parametrize("announced", [True, False])
def test_an_enormous_clip_is_refused(
    service: fake.FakeService,
    tmp_path: Path,
    kind: str,
    announced: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once if the host says how long it is: here it would never send a byte."""
    if announced:
        service.script(
            "GET /out", ending(fake.answer(200, b"", length=str(transport.MAX_CLIP + 1)))
        )
    else:
        monkeypatch.setattr(transport, "MAX_CLIP", 1000)
        service.script("GET /out", headless(b"x" * 5000))
    refused = failure(one(make(kind, service, tmp_path)), "oversize")
    assert not refused.retryable
    assert str(transport.MAX_CLIP) in refused.message


@both
def test_a_clip_that_drips_ends_at_the_time_limit(
    service: fake.FakeService, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "DOWNLOAD_S", -1.0)
    assert failure(one(make(kind, service, tmp_path, attempts=2)), "timeout").retryable


@both
@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_expired_address_is_asked_for_afresh(
    service: fake.FakeService, tmp_path: Path, kind: str, status: int
) -> None:
    service.script("GET /out", fake.answer(status, {}), fake.clip())
    clip(one(make(kind, service, tmp_path))).path.unlink()
    looks = [request for request in service.requests if request.method == "GET"]
    asked = [index for index, request in enumerate(looks) if request.path.startswith("/out")]
    assert asked[1] > asked[0] + 1, "the job was not asked for a fresh address in between"
    assert service.jobs == 1


def test_runway_gives_a_fresh_address_that_works(service: fake.FakeService, tmp_path: Path) -> None:
    """Runway's addresses differ with every look, and old ones end: the last one is taken."""
    issued: list[str] = []

    def look(handler: fake.Handler) -> None:
        issued.append(f"/out/{len(issued)}.mp4")
        fake.runway_task("SUCCEEDED", output=[service.url + issued[-1]])(handler)

    def serve(handler: fake.Handler) -> None:
        fresh = len(issued) > 1 and handler.path == issued[-1]
        (fake.clip() if fresh else fake.answer(403, {}))(handler)

    service.script(LOOK["runway"], look)
    service.script("GET /out", serve)
    clip(one(make("runway", service, tmp_path))).path.unlink()
    assert len(issued) == 2


@both
def test_an_address_that_stays_expired_is_a_failure_that_costs_nothing_later(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script("GET /out", fake.answer(404, {}))
    gone = failure(one(make(kind, service, tmp_path)), "expired")
    assert gone.retryable
    assert "http" not in gone.message
    service.script("GET /out", fake.clip())
    clip(one(make(kind, service, tmp_path))).path.unlink()
    assert service.jobs == 1


@both
def test_a_busy_host_is_asked_again_without_keys(
    service: fake.FakeService, tmp_path: Path, kind: str
) -> None:
    service.script("GET /out", fake.answer(503, {}), fake.answer(500, {}), fake.clip())
    clip(one(make(kind, service, tmp_path))).path.unlink()
    fetched = [request for request in service.requests if request.path.startswith("/out")]
    assert len(fetched) == 3
    assert all("authorization" not in request.headers for request in fetched)


@both
def test_a_moved_clip_is_followed(service: fake.FakeService, tmp_path: Path, kind: str) -> None:
    moved = fake.answer(302, {}, Location=f"{service.url}/out/elsewhere.mp4")
    service.script("GET /out", moved, fake.clip())
    clip(one(make(kind, service, tmp_path))).path.unlink()


def test_only_web_addresses_are_fetched(tmp_path: Path, downloads: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    with pytest.raises(transport.AttemptError) as caught:
        download(f"file://{secret}", downloads / "copy")
    assert caught.value.failure.kind == "protocol"
