"""The other end of a worker process: one plugin, batches in on stdin, results out on stdout.

Run as ``python -m phybench.workers.child`` by any interpreter that has phybench and the plugin's
dependencies. One JSON object per line each way. The plugin's own prints go to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from phybench.errors import ConfigError, StorageError
from phybench.machine.folders import cache_folder
from phybench.plugins.opened import Kind
from phybench.plugins.spec import PluginSpec
from phybench.units.codec import plain, to_json, unit_from_json
from phybench.units.perform import timed
from phybench.workers.opening import construct


def serve_batches() -> None:
    """Serve batches until stdin closes."""
    # Ctrl-C reaches the whole process group; the parent decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    messages = _messages(sys.stdin)
    hello = next(messages, None)
    if hello is None:
        return
    # Nested refiners and paid replies go where those of the parent go.
    with cache_folder(Path(hello["cache"]) if "cache" in hello else None):
        _serve(hello, messages, replies)


def _serve(hello: Mapping[str, Any], messages: Iterator[Any], replies: IO[str]) -> None:
    kind: Kind = hello["kind"]
    try:
        plugin = construct(kind, PluginSpec(hello["name"], hello["options"]))
    except ConfigError as error:
        _reply(replies, {"config_error": str(error)})
        return
    _reply(replies, {"info": _described(plugin)})
    for batch in messages:
        units = [unit_from_json(row) for row in batch]
        try:
            results, seconds = timed(kind, plugin, units, Path(hello["clips"]))
        except StorageError as error:
            _reply(replies, {"storage_error": str(error)})
        else:
            values = [to_json(result) for result in results]
            _reply(replies, {"results": values, "seconds": seconds})


def _messages(lines: Iterable[str]) -> Iterator[Any]:
    """What the parent says; a torn line is the last word of a parent that was stopped."""
    for line in lines:
        if not line.endswith("\n"):
            return
        yield json.loads(line)


def _reply(replies: IO[str], message: Mapping[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")


def _described(plugin: Any) -> dict[str, Any]:
    info = plain(plugin.info)
    info["video"] = plain(plugin.info.video) if plugin.info.video else None
    info["scale"] = plain(plugin.info.scale)
    return info


if __name__ == "__main__":
    serve_batches()
