"""Rollouts with vLLM: the trainer's options, and what can be checked before a model is loaded."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from phybench.errors import ConfigError, MissingExtraError

from ..recipe.parts import Vllm
from ..recipe.recipe import Recipe

SERVE = (
    "VLLM_SERVER_DEV_MODE=1 vllm serve CHECKPOINT "
    """--weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs"""
)
"""How a server for rollouts is started; CHECKPOINT is the model that stage 2 begins from."""
_PATIENCE_S = 10.0


def check_vllm(vllm: Vllm | None) -> None:
    """Refuse rollouts with vLLM that could not work, before anything is loaded.

    Raises:
        MissingExtraError: If vLLM is not installed.
        ConfigError: If no server answers at the recipe's address, or one that was started without
            what training needs.
    """
    if vllm is None:
        return
    if find_spec("vllm") is None:
        raise MissingExtraError("`grpo.vllm`", "vllm", "vllm")
    if vllm.mode == "server":
        _check_server(vllm.base_url, _server_info(vllm.base_url))


def vllm_options(vllm: Vllm | None) -> dict[str, Any]:
    """TRL's options for it."""
    if vllm is None:
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": vllm.mode,
        "vllm_gpu_memory_utilization": vllm.memory,
        "vllm_server_base_url": vllm.base_url or None,
        "vllm_importance_sampling_correction": vllm.correction,
    }


def seed_rollouts(recipe: Recipe) -> None:
    """Let the recipe's seed decide what a colocated vLLM draws.

    It draws from torch's own generators, but its start sets them to the rank, so that trainings
    with different seeds would all draw alike.
    """
    from accelerate.utils import set_seed  # type: ignore[import-untyped]

    if recipe.grpo.vllm is not None:
        set_seed(recipe.seed, device_specific=True)


def _server_info(base_url: str) -> Mapping[str, Any]:
    """The server's own account of its configuration."""
    url = f"{base_url.rstrip('/')}/server_info?config_format=json"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310  http(s) only, by the recipe
            found: Mapping[str, Any] = json.load(answer)["vllm_config"]
    except urllib.error.HTTPError as error:
        raise ConfigError(
            f"Expected vLLM's development endpoints at {base_url!r}, by which it gets new weights, "
            f"but it answered {error.code}. Start it so: {SERVE}"
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"Expected a vLLM server at {base_url!r} (`grpo.vllm.base_url`), but got: {error}. "
            f"Start one on GPUs of its own: {SERVE}"
        ) from error
    return found


def _check_server(base_url: str, config: Mapping[str, Any]) -> None:
    if config.get("weight_transfer_config") is None:
        raise ConfigError(
            f"Expected the vLLM server at {base_url!r} to take new weights, but it was started "
            f"without `--weight-transfer-config`. Start it so: {SERVE}"
        )
    mode = (config.get("model_config") or {}).get("logprobs_mode")
    if mode != "processed_logprobs":
        raise ConfigError(
            f"Expected the vLLM server at {base_url!r} to report the probabilities that it draws "
            f"with, but its `--logprobs-mode` is {mode}. Start it so: {SERVE}"
        )
