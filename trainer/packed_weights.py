"""Linear layers' weights, laid out once in the order in which a processor multiplies by them.

torch hands each product to a library that arranges the matrix anew every time. oneDNN keeps what it arranged: on
processors a product with a few rows takes about half as long, one with a thousand four fifths.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from trainer.model import free_bytes, threads_of_one

BothWays = tuple[torch.Tensor, torch.Tensor]
_SHARE_OF_FREE = 0.25  # of the memory, for a second copy of the weights while answers are made
_SHARE_OF_ALL = 0.125  # of the memory, for both copies while training
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


def packed_both_ways(layers: Iterable[nn.Module]) -> dict[nn.Module, BothWays]:
    """For frozen layers W x + b the packed W, and the packed transpose by which gradients go back; {} without room.

    The room is a share of all memory, not of what happens to be free: a training that goes on computes the same bits.
    """
    plain = [layer for layer in layers if type(layer) is nn.Linear and _is_packable(layer)]
    if not both_ways_bytes(sum(layer.weight.nbytes for layer in plain)):
        return {}
    with threads_of_one(torch.get_num_threads()) as pool:
        return dict(zip(plain, pool.map(_both_ways, (layer.weight.detach() for layer in plain)), strict=True))


def _both_ways(weight: torch.Tensor) -> BothWays:
    return arranged(weight), arranged(weight.T.contiguous())


class FrozenProduct(torch.autograd.Function):
    """W x + b over a frozen W, packed both ways."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, packed: BothWays, bias: torch.Tensor | None) -> torch.Tensor:
        """The layer's output."""
        ctx.packed = packed
        return product(packed[0], bias, x)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of x."""
        return product(ctx.packed[1], None, upstream), None, None


def both_ways_bytes(size: float) -> float:
    """What packing `size` bytes of weights both ways takes; 0 where that is not done."""
    import psutil

    fits = 2 * size <= psutil.virtual_memory().total * _SHARE_OF_ALL
    return 2 * size if fits and _available() else 0.0


@cache
def _available() -> bool:
    """Whether this torch and this processor have oneDNN's products, and these give what torch's own do."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        # By name: while a plan counts on shapes alone, tensors without numbers are the default.
        torch.randn(*shape, generator=generator, device="cpu")
        for shape in ((2, 3, 80), (96, 80), (96,))
    )
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
