"""``phybench serve-refiner``: a refiner behind an OpenAI-compatible address."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from phybench.cli.console import note


def serve_refiner(
    refiner: Annotated[str, typer.Option("-r", "--refiner", help="Refiner SPEC.")] = "template",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    key_env: Annotated[
        str, typer.Option(help="Environment variable with the key that clients must send.")
    ] = "",
) -> None:
    """Serve a refiner to tools that speak the OpenAI chat protocol, until Ctrl-C."""
    from phybench.errors import ConfigError
    from phybench.plugins.spec import parse_spec
    from phybench.refiners.serving.server import RefinerServer
    from phybench.workers.opening import open_alone

    key = os.environ.get(key_env, "") if key_env else ""
    if key_env and not key:
        raise ConfigError(f"Expected the environment variable `{key_env}` to hold a key.")
    plugin = open_alone("refiner", parse_spec(refiner)).plugin
    try:
        server = RefinerServer(plugin, host=host, port=port, key=key)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {host}:{port}: {error}.") from error
    note(f"Serving {plugin.info.name} at {server.url} (Ctrl-C stops it)")
    try:
        server.run()
    except KeyboardInterrupt:
        note("Stopped.")
