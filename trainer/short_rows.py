# ruff: noqa: N803, N806, N815 - a tensor's name ends in its shape
"""Attention within short rows on processors: a few products for all rows of a part.

A kernel that is called row by row spends as long on calls as on numbers. Here rows of about the same length lie side by
side, filled up at their ends, and the weights of attention are kept for the way back, which is why rows must be short.
Shapes: R rows side by side, L tokens of each, S keys that they see, A heads of any sort, B rows times key heads, D head
size; X counts what lies one behind the other, one head of one token each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from trainer import kernels

# A row's first and last token, and the ranges of keys that it sees before its own.
Row = tuple[int, int, list[tuple[int, int]]]
_MOST_SEEN = 256  # keys; behind more, the weights would be a great part of what a block keeps
_BLOCK_TOKENS = 64  # of a row: those behind see more keys, so fewer scores are computed that causality forbids
_ALIKE = 0.8  # of the longest row's length: shorter ones would be filled up too much


@dataclass(frozen=True, slots=True)
class Block:
    """Queries of rows side by side: where they lie, how many keys each row sees, and what is added to the scores."""

    queries: slice
    seen: int
    mask_LS: torch.Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of about the same length that see the same `ranges` before their own: where their keys lie, and blocks."""

    rows: int
    keys: slice
    ranges: list[tuple[int, int]]
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows side by side. The sequence's numbers are counted token by token, within a token head by head.

    `queries_X` and `keys_X` say which of the sequence's numbers stands there, `outputs_X` and `own_keys_X` where each
    of the sequence's stands, `filled_X` which queries only fill up. `before` keys belong to others.
    """

    groups: list[Group]
    before: int
    queries_X: torch.Tensor
    keys_X: torch.Tensor
    outputs_X: torch.Tensor
    own_keys_X: torch.Tensor
    filled_X: torch.Tensor


def side_by_side(rows: Sequence[Row], before: int, window: int | None, heads: int, key_heads: int) -> Layout | None:
    """How to lay a sequence's rows behind `before` keys of others; None where one of them sees too much for that."""
    most = max(end - start + sum(last - first for first, last in seen) for start, end, seen in rows)
    if most > min(_MOST_SEEN, window or _MOST_SEEN):
        return None
    queries, keys = _Places(heads), _Places(key_heads)
    groups = []
    for group in _alike(rows):
        longest, ranges = group[0][1] - group[0][0], group[0][2]
        starts_R1, ends_R1 = (torch.tensor([row[side] for row in group])[:, None] for side in (0, 1))
        tokens_RL = starts_R1 + torch.arange(longest)
        real_RL = tokens_RL < ends_R1
        tokens_RL = tokens_RL.where(real_RL, starts_R1)
        shared_S = torch.cat([torch.arange(0), *(torch.arange(first, last) for first, last in ranges)])
        seen_RS = torch.cat([shared_S.expand(len(group), -1), before + tokens_RL], dim=1)
        own_RS = torch.cat([torch.zeros(len(group), len(shared_S), dtype=torch.bool), real_RL], dim=1)
        where = keys.add(seen_RS, own_RS)
        blocks = []
        for a, b in pairwise(even_edges(longest, _BLOCK_TOKENS)):
            mask_LS = causal_mask(b - a, len(shared_S) + b).repeat(heads // key_heads, 1)
            blocks.append(Block(queries.add(tokens_RL[:, a:b], real_RL[:, a:b]), len(shared_S) + b, mask_LS))
        groups.append(Group(len(group), where, ranges, blocks))
    (queries_X, outputs_X, filled_X), (keys_X, own_keys_X, _) = queries.done(0), keys.done(before)
    return Layout(groups, before, queries_X, keys_X, outputs_X, own_keys_X, filled_X)


def _alike(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in groups that see the same and are of about the same length, in each the longest first."""
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: (row[2], row[0] - row[1], row[0])):
        if group and (row[2] != group[0][2] or row[1] - row[0] < _ALIKE * (group[0][1] - group[0][0])):
            yield group
            group = []
        group.append(row)
    yield group


def even_edges(length: int, most: int) -> list[int]:
    """Where to cut `length` tokens into pieces of about equal size, none of more than `most`; both ends included."""
    count = -(-length // most)
    return [length * number // count for number in range(count + 1)]


def causal_mask(
    own: int,
    seen: int,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> torch.Tensor:
    """What is added to the scores of the last `own` of `seen` tokens, mask_LS, so that none looks ahead or too far."""
    visible_LS = torch.ones(own, seen, dtype=torch.bool, device=device).tril(seen - own)
    if window is not None:
        visible_LS = visible_LS.triu(seen - own - window + 1)
    return torch.zeros(own, seen, dtype=dtype, device=device).masked_fill_(~visible_LS, float("-inf"))


class _Places:
    """Collects which numbers of the sequence are put where."""

    def __init__(self, heads: int) -> None:
        self.heads_A1 = torch.arange(heads)[:, None]
        self.numbers: list[torch.Tensor] = []
        self.real: list[torch.Tensor] = []
        self.at = 0

    def add(self, tokens_RL: torch.Tensor, real_RL: torch.Tensor) -> slice:
        """Put all heads' numbers of tokens behind the others, row by row and head by head; where they lie then."""
        numbers_RAL = tokens_RL[:, None] * len(self.heads_A1) + self.heads_A1
        self.numbers.append(numbers_RAL.flatten())
        self.real.append(real_RL[:, None].expand_as(numbers_RAL).flatten())
        start, self.at = self.at, self.at + numbers_RAL.numel()
        return slice(start, self.at)

    def done(self, before: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which number stands where; where each stands that is real, from the token `before` on; which are not."""
        numbers_X, real_X = torch.cat(self.numbers), torch.cat(self.real)
        places_X = real_X.nonzero()[:, 0]
        of_each_X = torch.empty_like(places_X)
        of_each_X[numbers_X[places_X] - before * len(self.heads_A1)] = places_X
        return numbers_X, of_each_X, (~real_X).nonzero()[:, 0]


class Together(torch.autograd.Function):
    """The rows' attention, out_1TND from query_1NTD, key_1HTD and value_1HTD.

    With weights W = softmax(s Q K') and out = W V, and with d for gradients: dV = W' d, dS = s W (d V' - sum(W d V')),
    dQ = dS K, dK = dS' Q. Source of the former: Vaswani et al. (arXiv:1706.03762).
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        layout: Layout,
        scale: float | None,
    ) -> torch.Tensor:
        """The output of each token and head."""
        scale = query.shape[3] ** -0.5 if scale is None else scale
        queries_XD = _flat(query).index_select(0, layout.queries_X)
        keys_XD, values_XD = (_flat(part).index_select(0, layout.keys_X) for part in (key, value))
        out_XD, weights = queries_XD.new_empty(len(queries_XD), value.shape[3]), []
        for group in layout.groups:
            batch = group.rows * key.shape[1]
            keys_BSD, values_BSD = (_batched(part, group.keys, batch) for part in (keys_XD, values_XD))
            for block in group.blocks:
                own_BLD, out_BLD = (_batched(part, block.queries, batch) for part in (queries_XD, out_XD))
                scores_BLS = torch.baddbmm(block.mask_LS, own_BLD, keys_BSD[:, : block.seen].mT, alpha=scale)
                weights.append(scores_BLS.softmax(-1))
                torch.bmm(weights[-1], values_BSD[:, : block.seen], out=out_BLD)
        ctx.save_for_backward(queries_XD, keys_XD, values_XD, *weights)
        ctx.layout, ctx.scale, ctx.heads, ctx.key_heads = layout, scale, query.shape[1], key.shape[1]
        return out_XD.index_select(0, layout.outputs_X).view(1, -1, ctx.heads, value.shape[3])

    @staticmethod
    def backward(ctx: Any, upstream_1TND: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of queries, keys and values."""
        layout, (queries_XD, keys_XD, values_XD, *weights) = ctx.layout, ctx.saved_tensors
        upstream_XD = upstream_1TND.reshape(-1, upstream_1TND.shape[3]).index_select(0, layout.queries_X)
        upstream_XD.index_fill_(0, layout.filled_X, 0.0)
        for_queries, for_keys, for_values = (torch.empty_like(part) for part in (queries_XD, keys_XD, values_XD))
        for group in reversed(layout.groups):
            batch = group.rows * ctx.key_heads
            keys, values, d_keys, d_values = (
                _batched(part, group.keys, batch) for part in (keys_XD, values_XD, for_keys, for_values)
            )
            # The last block sees all of its group's keys, so it comes first, and the others are added.
            for block in reversed(group.blocks):
                own, d_own, d_out = (
                    _batched(part, block.queries, batch) for part in (queries_XD, for_queries, upstream_XD)
                )
                weights_BLS, seen = weights.pop(), slice(0, block.seen)
                d_scores_BLS = torch.bmm(d_out, values[:, seen].mT)
                rows = weights_BLS.shape[0] * weights_BLS.shape[1]
                kernels.run(kernels.softmax_back, (weights_BLS, d_scores_BLS), rows, block.seen, ctx.scale)
                torch.bmm(d_scores_BLS, keys[:, seen], out=d_own)
                for whole, left, right in ((d_keys, d_scores_BLS, own), (d_values, weights_BLS, d_out)):
                    if block is group.blocks[-1]:
                        torch.bmm(left.mT, right, out=whole)
                    else:
                        whole[:, seen].add_(torch.bmm(left.mT, right))
        d_query_TND = for_queries.index_select(0, layout.outputs_X).view(-1, ctx.heads, keys_XD.shape[1])
        d_key, d_value = (_in_order(part, layout, ctx.key_heads) for part in (for_keys, for_values))
        return d_query_TND.transpose(0, 1)[None], d_key, d_value, None, None


def _flat(part_1ATD: torch.Tensor) -> torch.Tensor:
    return part_1ATD.transpose(1, 2).reshape(-1, part_1ATD.shape[3])


def _batched(part_XD: torch.Tensor, where: slice, batch: int) -> torch.Tensor:
    return part_XD[where].view(batch, -1, part_XD.shape[1])


def _in_order(side_by_side_XD: torch.Tensor, layout: Layout, key_heads: int) -> torch.Tensor:
    """Gradients of keys or of values, 1HTD: each token's own, and what those found who see it besides."""
    size = side_by_side_XD.shape[1]
    others = layout.before * key_heads
    found_XD = side_by_side_XD.new_empty(others + len(layout.own_keys_X), size)
    found_XD[:others].zero_()
    torch.index_select(side_by_side_XD, 0, layout.own_keys_X, out=found_XD[others:])
    found_HTD = found_XD.view(-1, key_heads, size).transpose(0, 1)
    for group in layout.groups:
        at, all_HSD = 0, side_by_side_XD[group.keys].view(group.rows, key_heads, -1, size)
        for first, last in group.ranges:
            found_HTD[:, first:last].add_(all_HSD[:, :, at : at + last - first].sum(0))
            at += last - first
    return found_HTD[None]
