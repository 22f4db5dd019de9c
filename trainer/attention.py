# ruff: noqa: N803, N806, N815 - a tensor's name ends in its shape
"""Attention within the rows of a packed sequence, each row seeing itself and what it shares with others.

Shapes: T tokens, L of a piece of a row, S that the piece sees, N query heads, H key heads, D head size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trainer.gpu_attention import flash_kernel, flexible, flexible_kernel, plain, rows_mask, varlen
from trainer.loan import Share
from trainer.short_rows import Layout, Together, causal_mask, even_edges, side_by_side

T = TypeVar("T")
NAME = "acidtest_packed_rows"
# On processors a kernel computes all scores of its queries, also those that causality forbids: short pieces waste less.
_PIECE_TOKENS = 64
_HALVES = (torch.bfloat16, torch.float16)  # what FlashAttention computes in


@dataclass(frozen=True, slots=True)
class Piece:
    """Queries of one row, from `start` to `end`, the `ranges` of keys they see, and how: None, each those up to itself.

    `mask_LS` is added to the scores.
    """

    start: int
    end: int
    ranges: list[tuple[int, int]]
    mask_LS: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Pack:
    """Which tokens of a packed sequence belong together: the prefix first, then `spans`, each a row's own tokens.

    `predicting` are the positions that the loss looks at. `prompts` says which of the spans, by its number, is no row
    but the prompt that two answers share, for each span that sees one. `loan`: others see the start of the prefix too,
    or this sequence sees, before its own, a prefix that is computed in another.
    """

    prefix: int
    spans: list[tuple[int, int]]
    predicting: torch.Tensor
    prompts: dict[int, int] = field(default_factory=dict)
    loan: Share | None = None
    _made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def behind(self, count: int) -> "Pack":
        """The same rows behind `count` more tokens that all of them see."""
        spans = [(start + count, end + count) for start, end in self.spans]
        return Pack(self.prefix + count, spans, self.predicting + count, self.prompts)

    def rows(self, before: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
        """Each row's first and last token, and which ranges of keys it sees before its own; first the prefix's.

        `before` keys belong to learned virtual tokens: they stand before the sequence, and every row sees them.
        """
        rows = [(0, self.prefix, [(0, before)] if before else [])] if self.prefix else []
        common = [(0, before + self.prefix)] if before + self.prefix else []
        for number, (start, end) in enumerate(self.spans):
            prompt = [self.spans[self.prompts[number]]] if number in self.prompts else []
            rows.append((start, end, [*common, *((before + first, before + last) for first, last in prompt)]))
        return rows

    def side_by_side(self, before: int, window: int | None, heads: int, key_heads: int) -> Layout | None:
        """The rows side by side, where they are short enough for that."""
        setting = before, window, heads, key_heads
        return self._once(("layout", *setting), lambda: side_by_side(self.rows(before), *setting))

    def pieces(self, before: int, window: int | None, like: torch.Tensor) -> list[Piece]:
        """The rows in pieces for one call of an attention kernel each."""

        def made() -> list[Piece]:
            longest = _PIECE_TOKENS if like.device.type == "cpu" else max(end for _, end in self.spans)
            return [piece for row in self.rows(before) for piece in _pieces_of(*row, before, longest, window, like)]

        return self._once(("pieces", before, window, like.dtype, like.device), made)

    def mask(self, before: int, window: int | None, like: torch.Tensor) -> Any:
        """Which keys each query sees, for the flexible kernel."""
        setting = before, window, like.device
        return self._once(("mask", *setting), lambda: rows_mask(self.rows(before), *setting))

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` makes: all layers of a kind take the same."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found


def _pieces_of(
    start: int, end: int, seen: list[tuple[int, int]], before: int, longest: int, window: int | None, like: torch.Tensor
) -> list[Piece]:
    others = sum(last - first for first, last in seen)
    return [
        Piece(a, b, [*seen, (before + start, before + b)], _mask(b - a, others + b - start, window, like))
        for a, b in pairwise(start + edge for edge in even_edges(end - start, longest))
    ]


def _mask(own: int, seen: int, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
    """What is added to the scores of the last `own` of `seen` tokens, so that none looks ahead; None: all are own."""
    windowed = window is not None and seen > window
    if own == seen and not windowed:
        return None
    return causal_mask(own, seen, window, like.dtype, like.device)


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
    """Causal attention within each row of a packed sequence, out_1TND from query_1NTD, key_1HTD and value_1HTD.

    Keys beyond the queries are of learned virtual tokens: they stand before the sequence, and every row sees them.
    """
    if pack is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **more)
        return out, None
    if pack.loan:
        key, value = pack.loan.settled(key, value)
    cap, window, before = more.get("softcap"), more.get("sliding_window"), key.shape[2] - query.shape[2]
    if query.device.type == "cpu" and query.dtype == torch.float32 and not cap:
        if layout := pack.side_by_side(before, window, query.shape[1], key.shape[1]):
            return Together.apply(query, key, value, layout, scaling), None  # type: ignore[no-untyped-call]  # torch leaves it untyped
        pieces = pack.pieces(before, window, query)
        return _Attention.apply(query, key, value, pieces, scaling), None  # type: ignore[no-untyped-call]  # torch leaves it untyped
    inputs = query, key, value
    if query.dtype in _HALVES and (flash := flash_kernel(query.device.type)):
        return varlen(flash, inputs, pack.rows(before), scaling, window, cap), None
    if kernel := flexible_kernel(*inputs, cap):
        return flexible(kernel, inputs, pack.mask(before, window, query), scaling, cap), None
    outs = []
    for piece in pack.pieces(before, window, query):
        key_1HSD, value_1HSD = _joined(key, piece.ranges), _joined(value, piece.ranges)
        span = (query[:, :, piece.start : piece.end], key_1HSD, value_1HSD, piece.mask_LS)
        outs.append(plain(*span, scaling, cap))
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous(), None


class _Attention(torch.autograd.Function):
    """The pieces' attention on a processor by torch's own kernel, which keeps no weights; gradients are added in place.

    Through `scaled_dot_product_attention` each piece would need gradients of the size of the whole sequence.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        pieces: Sequence[Piece],
        scale: float | None,
    ) -> torch.Tensor:
        out_1TND = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        sums = []
        for piece in pieces:
            out_1NLD, sum_1LN = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[:, :, piece.start : piece.end],
                _joined(key, piece.ranges),
                _joined(value, piece.ranges),
                is_causal=piece.mask_LS is None,
                attn_mask=piece.mask_LS,
                scale=scale,
            )
            out_1TND[:, piece.start : piece.end] = out_1NLD.transpose(1, 2)
            sums.append(sum_1LN)
        ctx.save_for_backward(query, key, value, out_1TND, *sums)
        ctx.pieces, ctx.scale = pieces, scale
        return out_1TND

    @staticmethod
    def backward(ctx: Any, upstream_1TND: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out_1TND, *sums = ctx.saved_tensors
        d_query, d_key, d_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for piece, sum_1LN in zip(ctx.pieces, sums, strict=True):
            span = slice(piece.start, piece.end)
            d_own, *d_seen = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                upstream_1TND[:, span].transpose(1, 2),
                query[:, :, span],
                _joined(key, piece.ranges),
                _joined(value, piece.ranges),
                out_1TND[:, span].transpose(1, 2),
                sum_1LN,
                0.0,
                is_causal=piece.mask_LS is None,
                attn_mask=piece.mask_LS,
                scale=ctx.scale,
            )
            d_query[:, :, span] = d_own
            for whole, part in zip((d_key, d_value), d_seen, strict=True):
                at = 0
                for first, last in piece.ranges:
                    whole[:, :, first:last].add_(part[:, :, at : at + last - first])
                    at += last - first
        return d_query, d_key, d_value, None, None


def _joined(part_1HTD: torch.Tensor, ranges: Sequence[tuple[int, int]]) -> torch.Tensor:
    pieces = [part_1HTD[:, :, start:end] for start, end in ranges]
    return torch.cat(pieces, dim=2) if len(pieces) > 1 else pieces[0]


AttentionInterface.register(NAME, attend)
