"""A real HTTP server that speaks the OpenAI chat dialect and misbehaves on request.

    with FakeOpenAI([reply("hello"), status(429, retry_after="2"), drop()]) as server:
        ... server.url, server.requests ...

Each chat request takes the next action; the last one repeats. Instead of a list, a function from
the request's body to an action answers by content, for concurrent requests whose order is open.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Action:
    """What the server does with one request."""

    code: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed_length: int | None = None
    fault: str = ""
    gate: threading.Event | None = None


def reply(
    content: Any,
    *,
    finish_reason: str = "stop",
    prompt_tokens: int = 10,
    completion_tokens: int = 5,
    message: Mapping[str, Any] | None = None,
    gate: threading.Event | None = None,
) -> Action:
    """A completion with this content; ``gate`` delays it until the event is set."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake-model-2026",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": content, **(message or {})},
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
    return Action(body=json.dumps(body).encode(), gate=gate)


def refusal(text: str = "I cannot help with that.") -> Action:
    """A completion that refuses."""
    return reply(None, message={"refusal": text})


def content_filter() -> Action:
    """A completion that the service's filter stopped."""
    return reply("", finish_reason="content_filter")


def status(
    code: int,
    *,
    retry_after: str | None = None,
    kind: str = "error",
    error_code: str | int | None = None,
    message: str = "no",
) -> Action:
    """An HTTP error in OpenAI's envelope."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": error_code}}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Action(code=code, body=json.dumps(body).encode(), headers=headers)


def raw(body: bytes, *, code: int = 200) -> Action:
    """Any bytes as the body: wrong types, an HTML page, truncated JSON."""
    return Action(code=code, body=body)


def truncated() -> Action:
    """A well-formed HTTP reply whose JSON breaks off."""
    return raw(reply("cut").body[:60])


def cut_off() -> Action:
    """A connection that closes before the promised length."""
    whole = reply("cut").body
    return Action(body=whole[:60], claimed_length=len(whole))


def drop() -> Action:
    """A connection reset after the request was read."""
    return Action(fault="drop")


def hang() -> Action:
    """No answer until the server stops."""
    return Action(fault="hang")


Script = Sequence[Action] | Callable[[dict[str, Any]], Action]


class FakeOpenAI:
    """The server; use it as a context manager."""

    def __init__(
        self,
        script: Script,
        *,
        models: Sequence[Mapping[str, Any]] = (),
        delay_s: float = 0.0,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.stopping = threading.Event()
        self._script = script
        self.delay_s = delay_s
        self._models = list(models) or [{"id": "fake-model", "object": "model"}]
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        """The base address, version included."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> FakeOpenAI:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def action_for(self, body: dict[str, Any], headers: dict[str, str]) -> Action:
        """Record a chat request and choose what happens to it."""
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            if callable(self._script):
                return self._script(body)
            return self._script[min(len(self.requests), len(self._script)) - 1]

    def count(self, change: int) -> None:
        """Track how many requests are being answered."""
        with self._lock:
            self.in_flight += change
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def models_body(self) -> bytes:
        """The list of served models."""
        return json.dumps({"object": "list", "data": self._models}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes; without this the second waits 40 ms for an ACK.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(size))
                if self.path != "/v1/chat/completions":
                    self._send(status(404, message=f"no {self.path}"))
                    return
                fake.count(1)
                try:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    self._act(fake.action_for(body, headers))
                finally:
                    fake.count(-1)

            def do_GET(self) -> None:
                if self.path == "/v1/models":
                    self._send(Action(body=fake.models_body()))
                else:
                    self._send(status(404, message=f"no {self.path}"))

            def _act(self, action: Action) -> None:
                if fake.delay_s:
                    fake.stopping.wait(fake.delay_s)
                if action.gate is not None:
                    action.gate.wait()
                if action.fault == "hang":
                    fake.stopping.wait()
                if action.fault:
                    # A zero linger time makes close() send a reset instead of a clean end.
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    self.close_connection = True
                    return
                self._send(action)

            def _send(self, action: Action) -> None:
                self.send_response(action.code)
                self.send_header("Content-Type", "application/json")
                length = action.claimed_length or len(action.body)
                self.send_header("Content-Length", str(length))
                for name, value in action.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(action.body)
                if length != len(action.body):
                    self.close_connection = True

            def finish(self) -> None:
                # The client may be gone, or the connection closed by a fault.
                try:
                    super().finish()
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                return

        return Handler
