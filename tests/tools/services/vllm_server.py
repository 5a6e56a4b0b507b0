"""vLLM's own server as a process of its own, for the tests that need a real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 600


@contextmanager
def served(
    checkpoint: Path, log: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start ``vllm serve`` on the loopback; gives its address, without a path.

    Args:
        checkpoint: The model's folder.
        log: Where its output goes.
        options: More of its options.
        environment: More environment variables.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
                *("--model", str(checkpoint), "--enforce-eager"),
                *("--host", "127.0.0.1", "--port", str(port), *options),
            ],
            stdout=output,
            stderr=output,
            env={**small, **os.environ, **(environment or {})},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(f"{address}/health", process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(
                f"vLLM's server ended before it was ready: {log.read_text()[-3000:]}"
            )
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
        else:
            return
    raise RuntimeError(f"vLLM's server was not ready within {PATIENCE_S} s")
