"""Loading the published weights: memory-mapped, straight to the target type and device.

Every key of the files is used exactly once or named in an error. ``weights_only`` unpickling only.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from phybench.errors import ConfigError

from .config import OwlConfig
from .model import OwlModel

# File prefix -> module path, first match wins. What is not listed keeps its name.
_RENAMES = (
    (r"^(temporal_)?query_tokens$", r"abstractor.\1query_tokens"),
    (r"^vision_model\.embeddings\.", "vision."),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.temporal\.conv\.",
        r"vision.layers.\1.temporal.conv_",
    ),
    (r"^vision_model\.encoder\.layers\.(\d+)\.temporal\.", r"vision.layers.\1.temporal."),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.input_layernorm\.",
        r"vision.layers.\1.block.layer_norm1.",
    ),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.post_attention_layernorm\.",
        r"vision.layers.\1.block.layer_norm2.",
    ),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.dense\.",
        r"vision.layers.\1.block.self_attn.out_proj.",
    ),
    (r"^vision_model\.encoder\.layers\.(\d+)\.", r"vision.layers.\1.block."),
    (r"^vision_model\.", "vision."),
    (
        r"^abstractor\.encoder\.layers\.(\d+)\.crossattention\.(?:attention\.|output\.mlp\.|output\.)?",
        r"abstractor.layers.\1.",
    ),
    (r"^language_model\.", "language."),
)
_HEAD, _EMBEDDINGS = "language.lm_head.weight", "language.model.embed_tokens.weight"
_FUSED = ".self_attn.query_key_value."
_ROTARY = re.compile(r"^language_model\..*\.rotary_emb\.inv_freq$")


def build_model(
    config: OwlConfig, tensors: Iterable[tuple[str, Tensor]], *, device: str, dtype: torch.dtype
) -> OwlModel:
    """Build a model and fill it with a checkpoint's tensors.

    Args:
        config: The sizes.
        tensors: Names of the public layout, and tensors.
        device: torch device; ``meta`` checks names and shapes only.
        dtype: Type of all weights. The rotary table stays float32, computed here: the one in the
            files is rounded to bfloat16 and never had an effect in the original.

    Raises:
        ConfigError: If a key is missing (the output layer may be where it is tied to the
            embeddings), unknown, double or of another shape.
    """
    with torch.device("meta"):
        model = OwlModel(config)
    filled: set[str] = set()
    for name, tensor in tensors:
        for target, value in _targets(name, tensor, config):
            _fill(model, target, value.to(device=device, dtype=dtype), name, filled)
    if config.text_config.tie_word_embeddings and _HEAD not in filled:
        _fill(model, _HEAD, model.get_parameter(_EMBEDDINGS), _HEAD, filled)
    missing = sorted({name for name, _ in model.named_parameters()} - filled)
    if missing:
        raise ConfigError(f"Expected weights for {_some(missing)}, but the files have none.")
    _compute_rotary(model, device)
    return model.eval().requires_grad_(requires_grad=False)


def read_tensors(files: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of all files, each name once.

    Args:
        files: ``.bin`` (zip or legacy pickle of tensors) or ``.safetensors`` files.

    Raises:
        ConfigError: If a name is in two files or something is no tensor.
    """
    seen: dict[str, Path] = {}
    for path in files:
        for name, tensor in _read_file(path):
            if name in seen:
                raise ConfigError(
                    f"Expected each key once, but {name!r} is in {seen[name].name} and {path.name}."
                )
            seen[name] = path
            yield name, tensor


def _read_file(path: Path) -> Iterator[tuple[str, Tensor]]:
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)
        return
    # Only torch's zip format can be mapped; files from before 2020 are read whole.
    mapped = zipfile.is_zipfile(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ConfigError(f"Cannot read {path} as plain tensors: {error}.") from error
    if not isinstance(state, dict):
        raise ConfigError(f"Expected {path} to hold a mapping of tensors; got {type(state)}.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise ConfigError(f"Expected {name!r} in {path} to be a tensor; got {type(tensor)}.")
        yield name, tensor


def _targets(name: str, tensor: Tensor, config: OwlConfig) -> Iterable[tuple[str, Tensor]]:
    """Where a tensor of the file belongs in the model, reshaped to fit."""
    if _ROTARY.match(name):
        return []
    target = _rename(name)
    if _FUSED in name:
        return _split_fused(target, tensor, config.vision_config.num_attention_heads)
    if ".temporal." in name and tensor.ndim == 5:
        # 1x1x1 convolutions are linear layers; the depth-wise kernel keeps its time axis.
        return [(target, tensor.flatten(1))]
    return [(target, tensor)]


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _split_fused(target: str, tensor: Tensor, heads: int) -> list[tuple[str, Tensor]]:
    """The fused projection has its rows ordered (head, q/k/v, head width), not (q/k/v, ...)."""
    if tensor.shape[0] % (3 * heads):
        raise ConfigError(
            f"Expected {target!r} to have a multiple of {3 * heads} rows; got {tensor.shape[0]}."
        )
    parts = tensor.view(heads, 3, -1, *tensor.shape[1:]).unbind(1)
    names = (target.replace("query_key_value", f"{part}_proj") for part in "qkv")
    return [(name, part.flatten(0, 1)) for name, part in zip(names, parts, strict=True)]


def _fill(model: nn.Module, target: str, value: Tensor, source: str, filled: set[str]) -> None:
    path, _, leaf = target.rpartition(".")
    try:
        module = model.get_submodule(path)
        expected = module.get_parameter(leaf)
    except AttributeError:
        raise ConfigError(
            f"Expected only keys of mPLUG-Owl-Video, but the files have {source!r}."
        ) from None
    if expected.shape != value.shape:
        raise ConfigError(
            f"Expected {source!r} to fit {target!r} of shape {tuple(expected.shape)}, but got "
            f"{tuple(value.shape)}. Do config.json and the weights belong together?"
        )
    if target in filled:
        raise ConfigError(f"Expected {target!r} to be filled once, but {source!r} fills it again.")
    filled.add(target)
    module.register_parameter(leaf, nn.Parameter(value.contiguous(), requires_grad=False))


def _compute_rotary(model: OwlModel, device: str) -> None:
    """Replace the meta buffers: the rotary table in float32 on the device."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    inner = model.language.model
    with torch.device(device):
        inner.rotary_emb = LlamaRotaryEmbedding(inner.config)


def _some(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + rest
