"""A real HTTP server on the loopback that speaks Runway's and fal's protocols from a script."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from phybench.video.video_file import write_frames

Action = Callable[["Handler"], None]


@dataclass
class Request:
    """One request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeService:
    """Answers each route from its script; the last action of a script repeats.

    Args:
        clip: Bytes of a real clip, served at ``/out/…``.
    """

    clip: bytes
    requests: list[Request] = field(default_factory=list)
    scripts: dict[str, deque[Action]] = field(default_factory=lambda: defaultdict(deque))
    received: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    jobs: int = 0
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, route: str, *actions: Action) -> None:
        """What a route (method and path without ids) answers, in order."""
        self.scripts[route] = deque(actions)

    def next_action(self, route: str) -> Action:
        """The next action of a route's script."""
        with self._lock:
            script = self.scripts[route]
            return script.popleft() if len(script) > 1 else script[0]

    def creates(self) -> list[Request]:
        """The requests that would cost money."""
        return [request for request in self.requests if request.method == "POST"]

    def new_job(self) -> int:
        """Number of a job that is made now."""
        with self._lock:
            self.jobs += 1
            return self.jobs


class Handler(BaseHTTPRequestHandler):
    """Reads the request, records it, and lets the script answer."""

    protocol_version = "HTTP/1.1"
    service: FakeService

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self._serve(json.loads(raw))

    def _serve(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.service.requests.append(Request(self.command, self.path, headers, body))
        self.service.next_action(f"{self.command} {route_of(self.path)}")(self)

    def reply(self, status: int, data: Any, **headers: str) -> None:
        """Send JSON, or bytes and text as they are."""
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("content_type", "application/json"))
        self.send_header("Content-Length", headers.pop("length", str(len(raw))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def route_of(path: str) -> str:
    """A path's route: ids and files of one kind share a script."""
    if path.startswith("/out/"):
        return "/out"
    if path.startswith("/v1/tasks/"):
        return "/v1/tasks"
    if path.endswith("/status"):
        return "/status"
    return "/result" if "/requests/" in path else path


def start(folder: Path) -> tuple[FakeService, ThreadingHTTPServer]:
    """Start a server on a free port; the caller shuts it down."""
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    write_frames(folder / "served.mp4", frames, 8)
    service = FakeService((folder / "served.mp4").read_bytes())
    handler = type("BoundHandler", (Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    service.script("GET /out", clip())
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return service, server


def answer(status: int, data: Any, **headers: str) -> Action:
    """Answer so."""
    return lambda handler: handler.reply(status, data, **headers)


def clip() -> Action:
    """Serve the clip."""
    return lambda handler: handler.reply(200, handler.service.clip, content_type="video/mp4")


def drop() -> Action:
    """Read the request and cut the line: the job may or may not exist."""

    def act(handler: Handler) -> None:
        handler.service.new_job()
        handler.close_connection = True
        handler.connection.close()

    return act


def hold() -> Action:
    """Make the job and keep the answer back until the test releases it."""

    def act(handler: Handler) -> None:
        handler.service.new_job()
        handler.service.received.set()
        handler.service.release.wait(30)
        handler.close_connection = True

    return act


# --- Runway --------------------------------------------------------------------------------------


def runway_create(cost: int = 60) -> Action:
    """Make a task, after checking what Runway checks."""

    def act(handler: Handler) -> None:
        request = handler.service.requests[-1]
        if request.headers.get("x-runway-version") != "2024-11-06":
            return handler.reply(400, {"error": "missing X-Runway-Version"})
        if request.headers.get("authorization") != "Bearer secret-key":
            return handler.reply(401, {"error": "bad key"})
        units = len(request.body["promptText"].encode("utf-16-le")) // 2
        if not {"model", "promptText", "ratio", "duration"} <= set(request.body) or units > 1000:
            return handler.reply(400, {"error": "Validation of body failed", "issues": []})
        number = handler.service.new_job()
        return handler.reply(200, {"id": f"task-{number}", "estimatedCost": {"credits": cost}})

    return act


def runway_task(status: str, **more: Any) -> Action:
    """A task's state."""
    return lambda handler: handler.reply(
        200, {"id": handler.path.rsplit("/", 1)[1], "status": status, **more}
    )


def runway_done(cost: int = 60) -> Action:
    """A finished task; each look gives a fresh address."""

    def act(handler: Handler) -> None:
        fresh = f"{handler.service.url}/out/{len(handler.service.requests)}.mp4"
        handler.reply(
            200,
            {"id": "task", "status": "SUCCEEDED", "output": [fresh], "cost": {"credits": cost}},
        )

    return act


# --- fal -----------------------------------------------------------------------------------------


def fal_create() -> Action:
    """Queue a request; its addresses drop the endpoint's sub-path, as the real ones do."""

    def act(handler: Handler) -> None:
        request = handler.service.requests[-1]
        if request.headers.get("authorization") != "Key secret-key":
            return handler.reply(401, {"detail": "bad key"})
        number = handler.service.new_job()
        base = "/".join(request.path.split("/")[:3])
        place = f"{handler.service.url}{base}/requests/r{number}"
        return handler.reply(
            200,
            {
                "request_id": f"r{number}",
                "status": "IN_QUEUE",
                "queue_position": 2,
                "status_url": f"{place}/status",
                "response_url": place,
                "cancel_url": f"{place}/cancel",
            },
        )

    return act


def fal_status(status: str) -> Action:
    """A request's state: 202 until it is completed."""
    code = 200 if status == "COMPLETED" else 202
    return answer(code, {"status": status, "queue_position": 0, "logs": None})


def fal_result(**more: Any) -> Action:
    """The model's output."""
    return lambda handler: handler.reply(
        200, {"video": {"url": f"{handler.service.url}/out/clip.mp4"}, **more}
    )
