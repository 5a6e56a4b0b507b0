"""A refiner behind an OpenAI-compatible address, for tools that can call nothing else.

The last user message is the prompt, the reply is the refinement. Plain HTTP on one machine: it
listens on the loopback unless told otherwise, and asks for a key only if one is given.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phybench.plugins.contracts import Failure, Refinement, Refiner
from phybench.prompts.seeds import prompt_seed

_MAX_BODY_BYTES = 2**20
_READ_TIMEOUT_S = 30.0


class _Message(BaseModel):
    role: str
    content: str


class _Asked(BaseModel):
    """The fields of a chat request that mean something here; others are ignored as a server may."""

    model_config = ConfigDict(strict=True)
    messages: list[_Message]
    seed: int = Field(default=0, ge=0)
    n: int = Field(default=1, ge=1, le=16)
    stream: bool = False


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: Mapping[str, Any]


class RefinerServer:
    """Serves one refiner; one request is refined at a time.

    Args:
        refiner: The refiner.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        key: Bearer token that clients must send; empty for none.
    """

    def __init__(
        self, refiner: Refiner, *, host: str = "127.0.0.1", port: int = 0, key: str = ""
    ) -> None:
        self._refiner = refiner
        self._key = key
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The base address, version included."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def run(self) -> None:
        """Serve until :meth:`stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _models(self) -> _Reply:
        name = self._refiner.info.name
        return _Reply(200, {"object": "list", "data": [{"id": name, "object": "model"}]})

    def _answer(self, body: bytes) -> _Reply:
        try:
            asked = _Asked.model_validate_json(body)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            return _error(400, "invalid_request_error", f"{where}: {problem['msg']}")
        prompts = [turn.content for turn in asked.messages if turn.role == "user"]
        if asked.stream or not prompts or not prompts[-1].strip():
            what = "no `stream`" if asked.stream else "a user message with the prompt"
            return _error(400, "invalid_request_error", f"Expected {what}.")
        with self._lock:
            seeds = [prompt_seed(asked.seed, prompts[-1], k) for k in range(asked.n)]
            results = self._refiner.refine([prompts[-1]] * asked.n, seeds)
        failures = [result for result in results if isinstance(result, Failure)]
        if failures:
            status = 503 if failures[0].retryable else 422
            return _error(status, failures[0].kind, failures[0].message)
        refined = [result for result in results if isinstance(result, Refinement)]
        return _Reply(200, self._completion(refined))

    def _completion(self, refined: list[Refinement]) -> dict[str, Any]:
        tokens = sum(result.tokens or 0 for result in refined)
        return {
            "id": f"refine-{time.time_ns()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self._refiner.info.name,
            "choices": [
                {
                    "index": index,
                    "finish_reason": result.finish_reason,
                    "message": {
                        "role": "assistant",
                        "content": result.text,
                        "reasoning": result.reasoning,
                    },
                }
                for index, result in enumerate(refined)
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens},
        }

    def _may_ask(self, header: str) -> bool:
        return not self._key or hmac.compare_digest(header.encode(), f"Bearer {self._key}".encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _READ_TIMEOUT_S
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(self._checked(server._models, "/v1/models"))

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
                    self.close_connection = True
                    self._send(_error(413, "invalid_request_error", "Expected a body ≤ 1 MiB."))
                    return
                body = self.rfile.read(int(length))
                self._send(self._checked(lambda: server._answer(body), "/v1/chat/completions"))

            def _checked(self, answer: Any, path: str) -> _Reply:
                if not server._may_ask(self.headers.get("Authorization", "")):
                    return _error(401, "authentication_error", "Expected the server's key.")
                if self.path != path:
                    return _error(404, "not_found", f"There is no {self.path}.")
                reply: _Reply = answer()
                return reply

            def _send(self, reply: _Reply) -> None:
                data = json.dumps(reply.body, ensure_ascii=False).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Prompts are the users' own; nothing is logged."""

        return Handler


def _error(status: int, kind: str, message: str) -> _Reply:
    return _Reply(status, {"error": {"message": message, "type": kind, "code": status}})
