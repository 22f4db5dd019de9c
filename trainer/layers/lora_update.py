"""LoRA layers that add their update in the matrix product itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear


@contextmanager
def direct_updates(model: Any) -> Iterator[None]:
    """Within the block, plain LoRA layers add their update in the matrix product itself: W x + (alpha / r) B A x.

    PEFT's own forward scales and adds in passes over the whole output, a seventh of a small model's time.
    """
    from peft.tuners import lora

    known = lora.Linear, getattr(lora, "Linear4bit", lora.Linear)
    changed = [module for module in model.modules() if type(module) in known and not module.lora_variant]
    for module in changed:
        module.forward = partial(_forward, module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    names = [name for name in module.active_adapters if name in module.lora_A]
    if not names or module.disable_adapters or module.merged:
        plain: torch.Tensor = module.base_layer(x)
        return plain
    if _is_exact(module, names, x):
        (name,), base = names, module.base_layer
        weights = module.lora_A[name].weight, module.lora_B[name].weight
        updated: torch.Tensor = _LoraProduct.apply(x, base, *weights, module.scaling[name])  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return updated
    result: torch.Tensor = module.base_layer(x)
    for name in names:
        down = module.lora_A[name]
        inner = down(module.lora_dropout[name](x.to(down.weight.dtype)))
        flat, inner = result.flatten(0, -2).to(inner.dtype), inner.flatten(0, -2)
        flat = torch.addmm(flat, inner, module.lora_B[name].weight.T, alpha=module.scaling[name])
        result = flat.to(result.dtype).view(result.shape)
    return result


def _is_exact(module: Any, names: list[str], x: torch.Tensor) -> bool:
    """Whether `_LoraProduct` computes the layer: one adapter without dropout, nothing to convert, frozen weights."""
    base, drop = module.base_layer, module.lora_dropout[names[0]]
    known = type(base) is nn.Linear or hasattr(base, "numbers")
    frozen = known and not any(value.requires_grad for value in base.parameters())
    types = {x.dtype, module.lora_A[names[0]].weight.dtype, base.weight.dtype if type(base) is nn.Linear else x.dtype}
    dropped = isinstance(drop, nn.Dropout) and drop.training and drop.p > 0
    return frozen and len(names) == 1 and len(types) == 1 and not dropped and not x.is_meta


class _LoraProduct(torch.autograd.Function):
    """W x + b + s B A x over frozen W and b. Everything is added inside matrix products, going back as well.

    Of a quantised layer, W is expanded in both directions and not kept.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, base: Any, down: torch.Tensor, up: torch.Tensor, scale: float
    ) -> torch.Tensor:
        flat = x.flatten(0, -2)  # in here: outside, each layer would have two more nodes to go back through
        inner = linear(flat, down)
        ctx.save_for_backward(flat, inner, down, up)
        ctx.base, ctx.scale = base, scale
        known = linear(flat, _numbers(base, x.dtype), base.bias)
        return known.addmm_(inner, up.T, alpha=scale).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, inner, down, up = ctx.saved_tensors
        base, scale = ctx.base, ctx.scale
        flat, for_x = upstream.flatten(0, -2), None
        for_inner = flat @ up
        if ctx.needs_input_grad[0]:
            known = flat @ _numbers(base, flat.dtype)
            for_x = known.addmm_(for_inner, down, alpha=scale).view(*upstream.shape[:-1], -1)
        # With beta 0 what would be added is not read. The other way round, the last product takes up to twice as long.
        for_down = torch.addmm(down, for_inner.T, x, beta=0, alpha=scale)
        for_up = torch.addmm(up.T, inner.T, flat, beta=0, alpha=scale).T
        return for_x, None, for_down, for_up, None


def _numbers(base: Any, dtype: torch.dtype) -> torch.Tensor:
    found: torch.Tensor = base.numbers(dtype) if hasattr(base, "numbers") else base.weight
    return found
