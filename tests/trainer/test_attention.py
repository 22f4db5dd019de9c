"""The layout for FlashAttention's kernel, on a stand-in that does what its documentation says; no GPU has run it."""

from types import SimpleNamespace

import pytest
import torch

from trainer.attention import Pack, attend, varlen

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
