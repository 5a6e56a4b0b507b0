"""The language model's linear layers in 8 or 4 bit, by bitsandbytes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from .model import OwlModel


def quantize_language(
    model: OwlModel, bits: Literal["8bit", "4bit"], dtype: torch.dtype
) -> OwlModel:
    """Replace the linear layers of the LLaMA blocks; they are quantised when moved to a device.

    Vision tower, abstractor, embeddings and output layer keep their type: they are a tenth of the
    weights and the ones that a rating's last digit hangs on.
    """
    for layer in model.language.model.layers:
        for path, module in list(layer.named_modules()):
            if isinstance(module, nn.Linear):
                layer.set_submodule(path, _quantized(module, bits, dtype))
    return model


def _quantized(linear: nn.Linear, bits: Literal["8bit", "4bit"], dtype: torch.dtype) -> nn.Module:
    from bitsandbytes.nn import modules

    sizes, weight = (linear.in_features, linear.out_features), linear.weight.data
    if bits == "8bit":
        eight: nn.Module = modules.Linear8bitLt(
            *sizes, bias=False, has_fp16_weights=False, threshold=6.0
        )
        eight.weight = modules.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
        return eight
    make: Any = modules.Linear4bit
    four: nn.Module = make(*sizes, bias=False, compute_dtype=dtype, quant_type="nf4")
    four.weight = modules.Params4bit(weight, requires_grad=False, quant_type="nf4")
    return four
