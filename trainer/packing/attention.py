# ruff: noqa: N803, N806, N815 - a tensor's name ends in its shape
"""Attention within the rows of a packed sequence, each row seeing itself and what it shares with others.

Shapes: T tokens, L of a block of a row's queries, S that the block sees, N query heads, H key heads, D head size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trainer.packing.gpu_attention import flash_kernel, flexible, flexible_kernel, plain, rows_mask, varlen
from trainer.packing.pack import Pack

NAME = "acidtest_packed_rows"
# On processors a kernel computes all scores of its queries, also those that causality forbids: short blocks waste less.
_BLOCK_TOKENS = 64
_HALVES = (torch.bfloat16, torch.float16)  # what FlashAttention computes in


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """Queries of one row, from `start` to `end`, and the `ranges` of keys they see.

    `mask_LS` is added to the scores; None: the keys are the queries' own tokens, and each sees those up to itself.
    """

    start: int
    end: int
    ranges: list[tuple[int, int]]
    mask_LS: torch.Tensor | None


def query_blocks(pack: Pack, before: int, window: int | None, like: torch.Tensor) -> list[QueryBlock]:
    """A pack's rows in blocks, each for one call of an attention kernel.

    Args:
        before: how many keys stand before the sequence.
        window: how many keys back a token sees at most; None: all.
        like: gives masks their type and device.
    """
    longest = _BLOCK_TOKENS if like.device.type == "cpu" else max(end for _, end in pack.spans)

    def made() -> list[QueryBlock]:
        return [block for row in pack.rows(before) for block in _blocks_of(*row, before, longest, window, like)]

    return pack.once(("blocks", before, window, like.dtype, like.device), made)


def _blocks_of(
    start: int, end: int, seen: list[tuple[int, int]], before: int, longest: int, window: int | None, like: torch.Tensor
) -> list[QueryBlock]:
    """The tokens from `start` to `end` in blocks of about equal size, none of more than `longest`."""
    others, count = sum(last - first for first, last in seen), -(-(end - start) // longest)
    edges = [start + (end - start) * number // count for number in range(count + 1)]
    return [
        QueryBlock(a, b, [*seen, (before + start, before + b)], _mask(b - a, others + b - start, window, like))
        for a, b in pairwise(edges)
    ]


def _mask(own: int, seen: int, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
    """What is added to the scores of the last `own` of `seen` tokens, so that none looks ahead; None: all are own."""
    windowed = window is not None and seen > window
    if own == seen and not windowed:
        return None
    visible_LS = torch.ones(own, seen, dtype=torch.bool, device=like.device).tril(seen - own)
    if window is not None:
        visible_LS = visible_LS.triu(seen - own - window + 1)
    return torch.zeros(own, seen, dtype=like.dtype, device=like.device).masked_fill_(~visible_LS, float("-inf"))


def key_mask(pack: Pack, before: int, window: int | None, device: torch.device) -> Any:
    """Which keys each query of a pack sees, for torch's flexible attention."""
    setting = before, window, device
    return pack.once(("mask", *setting), lambda: rows_mask(pack.rows(before), *setting))


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    pack: Pack | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row of a packed sequence, as transformers calls it in each layer.

    Which kernel computes it: on a processor in float32 torch's own, block by block; on a GPU FlashAttention where it is
    installed, else torch's flexible attention where that is found to work; else blocks one after the other.

    Args:
        query: query_1NTD.
        key, value: key_1HTD and value_1HTD. Keys beyond the queries are of learned virtual tokens or of a prefix: they
            stand before the sequence, and every row sees them.
        attention_mask: what transformers made of the padding; not looked at where there is a pack.
        scaling: of the scores; None: one over the root of the head size.
        pack: the sequence's layout. Without one, transformers' own attention computes.
        more: the layer's `sliding_window` and `softcap`, where it has them.

    Returns: out_1TND; and None in place of the weights, which no kernel keeps.
    """
    if pack is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **more)
        return out, None
    if pack.side:
        key, value = pack.side.with_prefix(key, value)
    cap, window, before = more.get("softcap"), more.get("sliding_window"), key.shape[2] - query.shape[2]
    if query.device.type == "cpu" and query.dtype == torch.float32 and not cap:
        blocks = query_blocks(pack, before, window, query)
        return _BlockAttention.apply(query, key, value, blocks, scaling), None  # type: ignore[no-untyped-call]  # torch leaves it untyped
    inputs = query, key, value
    if query.dtype in _HALVES and (flash := flash_kernel(query.device.type)):
        return varlen(flash, inputs, pack.rows(before), scaling, window, cap), None
    if kernel := flexible_kernel(*inputs, cap):
        return flexible(kernel, inputs, key_mask(pack, before, window, query.device), scaling, cap), None
    outs = []
    for block in query_blocks(pack, before, window, query):
        key_1HSD, value_1HSD = _joined(key, block.ranges), _joined(value, block.ranges)
        span = (query[:, :, block.start : block.end], key_1HSD, value_1HSD, block.mask_LS)
        outs.append(plain(*span, scaling, cap))
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous(), None


class _BlockAttention(torch.autograd.Function):
    """The blocks' attention on a processor by torch's own kernel, which keeps no weights; gradients are added in place.

    Through `scaled_dot_product_attention` each block would need gradients of the size of the whole sequence.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        blocks: Sequence[QueryBlock],
        scale: float | None,
    ) -> torch.Tensor:
        out_1TND = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        sums = []
        for block in blocks:
            out_1NLD, sum_1LN = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[:, :, block.start : block.end],
                _joined(key, block.ranges),
                _joined(value, block.ranges),
                is_causal=block.mask_LS is None,
                attn_mask=block.mask_LS,
                scale=scale,
            )
            out_1TND[:, block.start : block.end] = out_1NLD.transpose(1, 2)
            sums.append(sum_1LN)
        ctx.save_for_backward(query, key, value, out_1TND, *sums)
        ctx.blocks, ctx.scale = blocks, scale
        return out_1TND

    @staticmethod
    def backward(ctx: Any, upstream_1TND: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out_1TND, *sums = ctx.saved_tensors
        d_query, d_key, d_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for block, sum_1LN in zip(ctx.blocks, sums, strict=True):
            span = slice(block.start, block.end)
            d_own, *d_seen = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                upstream_1TND[:, span].transpose(1, 2),
                query[:, :, span],
                _joined(key, block.ranges),
                _joined(value, block.ranges),
                out_1TND[:, span].transpose(1, 2),
                sum_1LN,
                0.0,
                is_causal=block.mask_LS is None,
                attn_mask=block.mask_LS,
                scale=ctx.scale,
            )
            d_query[:, :, span] = d_own
            for whole, part in zip((d_key, d_value), d_seen, strict=True):
                at = 0
                for first, last in block.ranges:
                    whole[:, :, first:last].add_(part[:, :, at : at + last - first])
                    at += last - first
        return d_query, d_key, d_value, None, None


def _joined(part_1HTD: torch.Tensor, ranges: Sequence[tuple[int, int]]) -> torch.Tensor:
    pieces = [part_1HTD[:, :, start:end] for start, end in ranges]
    return torch.cat(pieces, dim=2) if len(pieces) > 1 else pieces[0]


AttentionInterface.register(NAME, attend)
