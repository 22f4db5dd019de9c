"""Packed attention in each of its forms. FlashAttention's kernel is a stand-in that does what is documented of it."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from trainer.attention import Pack, attend, varlen
from trainer.short_rows import Together, side_by_side

PREFIX, SPANS, PROMPTS = 5, [(5, 12), (12, 15), (15, 21), (21, 22)], {1: 0, 2: 0}


def kernel(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    *,
    softmax_scale: float | None,
    causal: bool,
    window_size: tuple[int, int],
    softcap: float,
    deterministic: bool,
) -> torch.Tensor:
    """`flash_attn_varlen_func`, one sequence at a time: causal from the lower right, windows counted to the left."""
    assert causal
    assert deterministic
    group, outs = q.shape[1] // k.shape[1], []
    starts, edges = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    for number in range(len(starts) - 1):
        own = q[starts[number] : starts[number + 1]].transpose(0, 1)
        keys, values = (
            part[edges[number] : edges[number + 1]].transpose(0, 1).repeat_interleave(group, 0) for part in (k, v)
        )
        length, seen = own.shape[1], keys.shape[1]
        assert length <= max_seqlen_q
        assert seen <= max_seqlen_k
        scores = own @ keys.transpose(1, 2) * (softmax_scale or own.shape[-1] ** -0.5)
        if softcap:
            scores = torch.tanh(scores / softcap) * softcap
        ahead = torch.arange(seen)[None] - torch.arange(length)[:, None] - (seen - length)
        hidden = (ahead > 0) | ((ahead < -window_size[0]) if window_size[0] >= 0 else False)
        outs.append((scores.masked_fill(hidden, float("-inf")).softmax(-1) @ values).transpose(0, 1))
    return torch.cat(outs)


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_the_layout_for_the_varlen_kernel_is_our_attention(before: int, window: int | None, cap: float | None) -> None:
    generator = torch.Generator().manual_seed(5)
    tokens = SPANS[-1][1]
    query = torch.randn(1, 4, tokens, 8, generator=generator)
    key, value = (torch.randn(1, 2, before + tokens, 8, generator=generator) for _ in range(2))
    pack = Pack(PREFIX, SPANS, torch.tensor([tokens - 1]), PROMPTS)
    more = {"sliding_window": window, "softcap": cap}
    ours, _ = attend(SimpleNamespace(), query, key, value, None, scaling=0.3, pack=pack, **more)
    theirs = varlen(kernel, (query, key, value), pack, 0.3, window, cap)
    assert theirs.shape == ours.shape == (1, tokens, 4, 8)
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_long_rows_are_computed_in_pieces_that_together_are_the_row() -> None:
    generator = torch.Generator().manual_seed(6)
    query = torch.randn(1, 4, 300, 8, generator=generator, requires_grad=True)
    key, value = (torch.randn(1, 2, 300, 8, generator=generator, requires_grad=True) for _ in range(2))
    pack = Pack(0, [(0, 300)], torch.tensor([299]))
    assert len(pack.pieces(0, None, query)) == 5
    ours, _ = attend(SimpleNamespace(), query, key, value, None, pack=pack)
    plain = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    assert torch.allclose(ours, plain.transpose(1, 2), atol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    found = torch.autograd.grad((ours * weights).sum(), (query, key, value))
    expected = torch.autograd.grad((plain.transpose(1, 2) * weights).sum(), (query, key, value))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def row_by_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, pack: Pack, before: int, scale: float | None
) -> torch.Tensor:
    outs = []
    for start, end, seen in pack.rows(before):
        at = torch.cat([torch.arange(first, last) for first, last in [*seen, (before + start, before + end)]])
        visible = torch.ones(end - start, len(at), dtype=torch.bool).tril(len(at) - (end - start))
        own = (query[:, :, start:end], key[:, :, at], value[:, :, at])
        outs.append(
            torch.nn.functional.scaled_dot_product_attention(*own, attn_mask=visible, scale=scale, enable_gqa=True)
        )
    return torch.cat(outs, dim=2).transpose(1, 2)


@pytest.mark.parametrize("prefix", [0, 5])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize(
    ("lengths", "prompts", "groups"),
    [([9], {}, 1), ([70, 64, 30, 66, 29, 1], {}, 3), ([7, 3, 6, 1], {1: 0, 2: 0}, 4), ([150, 149], {}, 1)],
)
def test_rows_side_by_side_attend_as_each_alone(
    prefix: int, before: int, scale: float | None, lengths: list[int], prompts: dict[int, int], groups: int
) -> None:
    generator = torch.Generator().manual_seed(7)
    edges = [prefix + sum(lengths[:count]) for count in range(len(lengths) + 1)]
    pack = Pack(prefix, list(pairwise(edges)), torch.tensor([0]), prompts)
    query = torch.randn(1, 6, edges[-1], 8, generator=generator, requires_grad=True)
    key, value = (
        torch.randn(1, 2, before + edges[-1], size, generator=generator, requires_grad=True) for size in (8, 12)
    )
    layout = side_by_side(pack.rows(before), before, None, 6, 2)
    assert layout is not None
    assert len(layout.groups) == groups + (prefix > 0)
    assert len(layout.filled_X) < 0.25 * len(layout.outputs_X)
    ours = Together.apply(query, key, value, layout, scale)
    alone = row_by_row(query, key, value, pack, before, scale)
    assert torch.allclose(ours, alone, atol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    found, expected = (torch.autograd.grad((out * weights).sum(), (query, key, value)) for out in (ours, alone))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_only_short_rows_that_see_all_before_them_stand_side_by_side() -> None:
    rows = Pack(6, [(6, 256), (256, 260)], torch.tensor([259])).rows(0)
    assert side_by_side(rows, 0, None, 4, 2)
    assert side_by_side(rows, 0, 256, 4, 2)
    assert not side_by_side(rows, 0, 255, 4, 2)
    assert not side_by_side(Pack(7, [(7, 257)], torch.tensor([256])).rows(0), 0, None, 4, 2)
