"""Linear layers' weights, laid out once in the order in which a processor multiplies by them.

torch hands each product to a library that arranges the matrix anew every time. oneDNN keeps what it arranged: on
processors a product with a few rows takes about half as long, one with a thousand four fifths.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from trainer.model.load import free_bytes

_SHARE_OF_FREE = 0.25  # of the memory, for a second copy of the weights while answers are made
_NARROW = 64  # narrower layers, those of adapters, take next to no time


class PackedWeights:
    """The packed weights of one base's layers, made when first needed and kept; its weights must not change."""

    def __init__(self) -> None:
        self._packed: dict[nn.Linear, torch.Tensor] = {}

    @contextmanager
    def used_by(self, model: nn.Module) -> Iterator[None]:
        """Within the block, frozen float32 layers of `model` multiply by packed weights, where memory has the room.

        Only for `torch.inference_mode`: nothing goes back through such a product.
        """
        layers = [module for module in model.modules() if type(module) is nn.Linear and _is_packable(module)]
        missing = [layer for layer in layers if layer not in self._packed]
        size = sum(layer.weight.nbytes for layer in missing)
        if missing and (not _available() or size > free_bytes(missing[0].weight.device) * _SHARE_OF_FREE):
            yield
            return
        for layer in missing:
            self._packed[layer] = arranged(layer.weight.detach())
        for layer in layers:
            layer.forward = partial(product, self._packed[layer], layer.bias)  # type: ignore[method-assign]  # that is what this does
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward


def _is_packable(layer: nn.Linear) -> bool:
    weight = layer.weight
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not weight.requires_grad
    return plain and min(weight.shape) >= _NARROW


@cache
def _available() -> bool:
    """Whether this torch and this processor have oneDNN's products, and these give what torch's own do."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((2, 3, 80), (96, 80), (96,)))
    try:
        return torch.allclose(product(arranged(weight), bias, x), linear(x, weight, bias), atol=1e-4)
    except (AttributeError, TypeError, RuntimeError):  # another torch names or builds them differently
        return False


def arranged(weight: torch.Tensor) -> torch.Tensor:
    """The weight (out, in) as `product` takes it."""
    arrange: Callable[..., Any] = torch.ops.mkldnn._reorder_linear_weight
    packed: torch.Tensor = arrange(weight, None)
    return packed


def product(packed: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """W x + b for the rows of x, without a way back."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return result
