"""Frozen linear layers whose weights are 4-bit NormalFloats with double quantisation.

Source: Dettmers et al., QLoRA (arXiv:2305.14314). bitsandbytes quantises and expands; the layer's arithmetic is ours.
"""

from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn.functional import linear
from transformers import BitsAndBytesConfig

# What bitsandbytes has compiled while it is imported serves processors that its own library doesn't: for one function
# that we never reach, torch's whole compiler would be imported, a second's work.
with patch("torch.compile", lambda function, **_: function):
    import bitsandbytes as bnb

EXPANDED_SHARE = 10


def nf4_config(compute: torch.dtype) -> Any:
    """What transformers needs to quantise linear layers while it loads; embeddings and the output head stay as is."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


class NF4Linear(bnb.nn.Linear4bit):  # type: ignore[misc]  # bitsandbytes has no types
    """A linear layer over NF4 weights that computes what a plain layer over the expanded weights does, bit for bit.

    bitsandbytes' own forward is not used: on processors with AVX512-BF16 units, one pass in evaluation mode repacks
    its weights, and from then on it computes in bfloat16 whatever the compute type says and passes no gradient back.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output."""
        result: torch.Tensor = _NF4Product.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result

    def numbers(self, dtype: torch.dtype) -> torch.Tensor:
        """The weights, expanded."""
        return expanded(self.weight, dtype)


class _NF4Product(torch.autograd.Function):
    """`linear` over weights that are expanded when needed, in the backward pass again: only 4 bits are kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: Any, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.weight = weight
        return linear(x, expanded(weight, x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None, None
        return upstream @ expanded(ctx.weight, upstream.dtype), None, None


def expanded(weight: Any, dtype: torch.dtype) -> torch.Tensor:
    """The weights as numbers of type `dtype`."""
    result: torch.Tensor = bnb.functional.dequantize_4bit(weight.data, weight.quant_state).to(dtype)
    return result


def use_exact_layers(model: nn.Module) -> None:
    """Turn every 4-bit layer that bitsandbytes made into an `NF4Linear`."""
    for module in model.modules():
        if type(module) is bnb.nn.Linear4bit:
            module.__class__ = NF4Linear


def fits_expanded(model: nn.Module, dtype: torch.dtype) -> bool:
    """Whether the expanded weights would take less than a tenth of the memory that is free now, on a processor."""
    import psutil

    layers = [module for module in model.modules() if isinstance(module, NF4Linear)]
    size_bytes = sum(layer.in_features * layer.out_features for layer in layers) * dtype.itemsize
    on_processor = all(layer.weight.device.type == "cpu" for layer in layers)
    # Activations and everything else the machine does need the rest.
    return on_processor and size_bytes <= psutil.virtual_memory().available / EXPANDED_SHARE


def dequantise(model: Any, dtype: torch.dtype) -> None:
    """Replace every `NF4Linear` of the model by a plain layer over the same weights, expanded."""
    for name, layer in [(name, module) for name, module in model.named_modules() if isinstance(module, NF4Linear)]:
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(expanded(layer.weight, dtype), requires_grad=False)
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.data.to(dtype), requires_grad=False)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, plain)
    # PEFT and transformers look at these marks, not at the layers, to decide how to treat the model.
    model.is_loaded_in_4bit = model.is_quantized = False
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
