# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Layers that compute what the library's own compute, in fewer passes over memory and keeping less of it.

On processors a small model's time outside matrix products goes into such passes. A layer is exchanged only where its
kind is known and a trial gives its own result. Shapes: B rows, T tokens, H hidden width, N query heads, D head size.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import silu

from trainer.model.load import unwrapped

_TRIED_TOKENS = 5
_TOLERANCE = 1e-4  # of float32 arithmetic in another order; another function is off by far more
_PLAIN_BLOCK = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}
_GATED_MLP = {"gate_proj", "up_proj", "down_proj", "act_fn"}
_ROTARY = "apply_rotary_pos_emb"


@contextmanager
def lean_layers(model: Any) -> Iterator[None]:
    """Within the block, layers of known kinds compute leanly; only for models in float32 on a processor.

    The last block then computes, behind its attention, nothing but the positions in `pack.predicting`, where a
    packed batch says them: nothing else would look at what it makes of the others.
    """
    causal = unwrapped(model)
    first = next(causal.parameters())
    if first.device.type != "cpu" or causal.dtype != torch.float32:
        yield
        return
    with ExitStack() as exchanged:
        for module in causal.modules():
            lean = _lean_form(module)
            if lean is not None and _agree(module, lean):
                exchanged.enter_context(_instead(module, "forward", lean))
        for source in _rotary_sources(causal):
            exchanged.enter_context(_instead(source, _ROTARY, rotate))
        last = _last_block(causal)
        if last is not None and _is_plain(last, causal.base_model):
            exchanged.enter_context(_instead(last, "forward", partial(_block, last)))
        yield


def computes_leanly(block: nn.Module) -> bool:
    """Whether a block's norms and MLP look like what `lean_layers` exchanges; nothing is computed."""
    parts = [(type(part).__name__, part) for part in block.modules()]
    gated = [part for _, part in parts if {name for name, _ in part.named_children()} == _GATED_MLP]
    normed = any(name.endswith("RMSNorm") for name, _ in parts)
    return normed and any("silu" in type(part.act_fn).__name__.lower() for part in gated)


@contextmanager
def _instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Within the block, `owner.name` is `value`; afterwards what it was, or nothing of its own."""
    own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _lean_form(module: nn.Module) -> Callable[..., torch.Tensor] | None:
    if type(module).__name__.endswith("RMSNorm"):
        epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        weight = getattr(module, "weight", None)
        if epsilon is not None and isinstance(weight, nn.Parameter) and not weight.requires_grad:
            return partial(_norm, weight, epsilon)
    names = {name for name, _ in module.named_children()}
    if names == _GATED_MLP and _is_silu(module.act_fn):
        return partial(_gated, module)
    return None


def _is_silu(activation: Any) -> bool:
    row = torch.linspace(-3, 3, 7)
    return torch.equal(activation(row), silu(row))


@torch.no_grad()
def _agree(module: nn.Module, lean: Callable[..., torch.Tensor]) -> bool:
    """Whether both give the same for a few random tokens."""
    first: Any = module.gate_proj if hasattr(module, "gate_proj") else module
    x_1TH = _random_tokens(first.in_features if hasattr(first, "in_features") else len(first.weight))
    return _close(lean(x_1TH), module(x_1TH))


def _random_tokens(width: int) -> torch.Tensor:
    return torch.randn(1, _TRIED_TOKENS, width, generator=torch.Generator().manual_seed(0))


def _close(ours: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(ours, expected, rtol=_TOLERANCE, atol=_TOLERANCE * float(expected.abs().max()))


def _norm(weight_H: torch.Tensor, epsilon: float, x_BTH: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = _Norm.apply(x_BTH, weight_H, epsilon)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class _Norm(torch.autograd.Function):
    """x / rms(x) * weight, over a frozen weight. Source: Zhang and Sennrich, RMSNorm (arXiv:1910.07467)."""

    @staticmethod
    def forward(ctx: Any, x_BTH: torch.Tensor, weight_H: torch.Tensor, epsilon: float) -> torch.Tensor:
        norm_BT1 = torch.linalg.vector_norm(x_BTH, dim=-1, keepdim=True)
        scale_BT1 = norm_BT1.square_().div_(x_BTH.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x_BTH, weight_H, scale_BT1)
        result: torch.Tensor = (x_BTH * scale_BT1).mul_(weight_H)
        return result

    @staticmethod
    def backward(ctx: Any, upstream_BTH: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        # With y = s x w and s = (mean(x^2) + e)^(-1/2): dx = s (w dy - x s^2 mean(x w dy)).
        x_BTH, weight_H, scale_BT1 = ctx.saved_tensors
        weighted_BTH = upstream_BTH * weight_H
        shared_BT1 = torch.linalg.vecdot(weighted_BTH, x_BTH).unsqueeze(-1)
        shared_BT1.mul_(scale_BT1.square()).div_(-x_BTH.shape[-1])
        return weighted_BTH.addcmul_(x_BTH, shared_BT1).mul_(scale_BT1), None, None


def _gated(module: Any, x_BTH: torch.Tensor) -> torch.Tensor:
    inner = _GatedProduct.apply(module.gate_proj(x_BTH), module.up_proj(x_BTH))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    result: torch.Tensor = module.down_proj(inner)
    return result


class _GatedProduct(torch.autograd.Function):
    """silu(gate) * up, which keeps nothing but the two. Source: Shazeer, SwiGLU (arXiv:2002.05202)."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        for_gate = torch.ops.aten.silu_backward(upstream * up, gate)
        return for_gate, silu(gate).mul_(upstream)


def rotate(
    q_BNTD: torch.Tensor, k_BNTD: torch.Tensor, cos_BTD: torch.Tensor, sin_BTD: torch.Tensor, unsqueeze_dim: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys turned by their positions' angles, as the library's function of another name does it.

    Source: Su et al., RoFormer (arXiv:2104.09864), halves instead of neighbours turned together.
    """
    angles = cos_BTD.unsqueeze(unsqueeze_dim), sin_BTD.unsqueeze(unsqueeze_dim)
    q, k = (_Rotation.apply(part, *angles) for part in (q_BNTD, k_BNTD))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return q, k


class _Rotation(torch.autograd.Function):
    """(x1 c - x2 s, x2 c + x1 s) of the halves x1 and x2; backward, the turn the other way."""

    @staticmethod
    def forward(ctx: Any, x_BNTD: torch.Tensor, cos_B1TD: torch.Tensor, sin_B1TD: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos_B1TD, sin_B1TD)
        return _turned(x_BNTD, cos_B1TD, sin_B1TD, 1)

    @staticmethod
    def backward(ctx: Any, upstream_BNTD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cos_B1TD, sin_B1TD = ctx.saved_tensors
        return _turned(upstream_BNTD, cos_B1TD, sin_B1TD, -1), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, sense: int) -> torch.Tensor:
    half = x.shape[-1] // 2
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-sense)
    turned[..., half:].addcmul_(x[..., :half], sin[..., half:], value=sense)
    return turned


def _rotary_sources(causal: Any) -> list[Any]:
    """The library's modules whose function of that name turns the model's queries and keys as `rotate` does."""
    sources = {sys.modules[type(module).__module__] for module in causal.modules()}
    return [source for source in sources if hasattr(source, _ROTARY) and _turns_alike(getattr(source, _ROTARY))]


@torch.no_grad()
def _turns_alike(function: Callable[..., Any]) -> bool:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, heads, _TRIED_TOKENS, 8, generator=generator) for heads in (4, 2))
    angles = torch.randn(1, _TRIED_TOKENS, 4, generator=generator).repeat(1, 1, 2)
    try:
        found = function(q, k, angles.cos(), angles.sin())
        return all(map(torch.allclose, found, rotate(q, k, angles.cos(), angles.sin())))
    except (TypeError, ValueError, RuntimeError):  # it takes or gives something else: not ours to exchange
        return False


def _last_block(causal: Any) -> Any | None:
    blocks = getattr(causal.base_model, "layers", None)
    if not isinstance(blocks, nn.ModuleList) or not len(blocks):
        return None
    last = blocks[-1]
    return last if {name for name, _ in last.named_children()} == _PLAIN_BLOCK else None


@torch.no_grad()
def _is_plain(block: Any, base: Any) -> bool:
    """Whether each half of the block is x + f(norm(x)), and nothing else."""
    x_1TH = _random_tokens(block.input_layernorm.weight.shape[-1])
    try:
        positions_1T = torch.arange(_TRIED_TOKENS)[None]
        more = {"position_embeddings": base.rotary_emb(x_1TH, positions_1T), "attention_mask": None}
        return _close(_block(block, x_1TH, **more), block(x_1TH, **more))
    except (AttributeError, TypeError, ValueError, RuntimeError):  # it takes something else: not ours to exchange
        return False


def _block(block: Any, hidden_states: torch.Tensor, **more: Any) -> torch.Tensor:
    compute = partial(_halves, block, **more)
    # The library recomputes layers from within the forward that this one stands in for.
    if block.training and getattr(block, "gradient_checkpointing", False):
        result: torch.Tensor = block._gradient_checkpointing_func(compute, hidden_states)
        return result
    return compute(hidden_states)


def _halves(block: Any, hidden_BTH: torch.Tensor, /, **more: Any) -> torch.Tensor:
    attended_BTH, _ = block.self_attn(hidden_states=block.input_layernorm(hidden_BTH), **more)
    if pack := more.get("pack"):
        hidden_BTH, attended_BTH = (x.index_select(1, pack.predicting) for x in (hidden_BTH, attended_BTH))
    hidden_BTH = hidden_BTH + attended_BTH
    result: torch.Tensor = hidden_BTH + block.mlp(block.post_attention_layernorm(hidden_BTH))
    return result
