"""Packed attention as GPUs compute it, on processors.

FlashAttention is a stand-in that does what its documentation says, torch's flexible attention its own uncompiled form.
"""

from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.attention import flex_attention

from trainer.packing import attention
from trainer.packing.attention import attend, key_mask
from trainer.packing.gpu_attention import Kernel, computes_attention, flexible, varlen
from trainer.packing.pack import Pack

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without"),
    pytest.mark.filterwarnings("ignore:The .grad attribute"),  # torch's tracer looks at it
]
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
    theirs = varlen(kernel, (query, key, value), pack.rows(before), 0.3, window, cap)
    assert theirs.shape == ours.shape == (1, tokens, 4, 8)
    assert torch.allclose(theirs, ours, atol=1e-5)


@pytest.fixture
def flexible_anywhere(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """torch's own `flex_attention`, not compiled, which computes all scores; it refuses gradients on processors."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    return flex_attention.flex_attention


@pytest.mark.parametrize("prefix", [0, 5])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize(("lengths", "prompts"), [([7, 3, 6, 1], {1: 0, 2: 0}), ([70, 1, 57], {}), ([150, 149], {})])
def test_the_mask_for_the_flexible_kernel_is_our_attention(
    flexible_anywhere: Kernel,
    prefix: int,
    before: int,
    window: int | None,
    cap: float | None,
    lengths: list[int],
    prompts: dict[int, int],
) -> None:
    generator = torch.Generator().manual_seed(8)
    edges = list(accumulate(lengths, initial=prefix))
    tokens = edges[-1]
    pack = Pack(prefix, list(pairwise(edges)), torch.tensor([tokens - 1]), prompts)
    query = torch.randn(1, 4, tokens, 8, generator=generator, requires_grad=True)
    key, value = (torch.randn(1, 2, before + tokens, 8, generator=generator, requires_grad=True) for _ in range(2))
    more = {"sliding_window": window, "softcap": cap}
    ours, _ = attend(SimpleNamespace(), query, key, value, None, scaling=0.3, pack=pack, **more)
    theirs = flexible(flexible_anywhere, (query, key, value), key_mask(pack, before, window, query.device), 0.3, cap)
    assert theirs.shape == ours.shape == (1, tokens, 4, 8)
    assert torch.allclose(theirs, ours, atol=1e-5)
    upstream = torch.randn(ours.shape, generator=generator)
    found, expected = (torch.autograd.grad(out, (query, key, value), upstream) for out in (theirs, ours))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_flexible_kernel_is_taken_only_if_it_gives_plain_attention(
    flexible_anywhere: Kernel, cap: float | None, dtype: torch.dtype
) -> None:
    setting = torch.device("cpu"), dtype, (4, 2, 16, 8), cap

    def unmasked(*inputs: torch.Tensor, block_mask: object, **more: Any) -> torch.Tensor:
        return flexible_anywhere(*inputs, **more)

    def without_gradients(*inputs: torch.Tensor, **more: Any) -> torch.Tensor:
        return flexible_anywhere(*(part.detach() for part in inputs), **more)

    def uncompiled(*_: torch.Tensor, **__: Any) -> torch.Tensor:
        raise RuntimeError("no compiler")

    with torch.inference_mode():
        assert computes_attention(flexible_anywhere, *setting)
        for other in (unmasked, without_gradients, uncompiled):
            assert not computes_attention(other, *setting)


def test_attention_takes_the_flexible_kernel_where_there_is_one(
    flexible_anywhere: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def kernel(*inputs: torch.Tensor, **more: Any) -> torch.Tensor:
        calls.append(more["block_mask"])
        return flexible_anywhere(*inputs, **more)

    monkeypatch.setattr(attention, "flexible_kernel", lambda *_: kernel)
    generator = torch.Generator().manual_seed(9)
    pack = Pack(PREFIX, SPANS, torch.tensor([SPANS[-1][1] - 1]), PROMPTS)
    # On processors, numbers other than float32 go the way that a GPU's go.
    query, key, value = (
        torch.randn(1, heads, SPANS[-1][1], 8, generator=generator, dtype=torch.float64) for heads in (4, 2, 2)
    )
    once, _ = attend(SimpleNamespace(), query, key, value, None, pack=pack)
    again, _ = attend(SimpleNamespace(), query, key, value, None, pack=pack)
    monkeypatch.undo()
    in_pieces, _ = attend(SimpleNamespace(), query, key, value, None, pack=pack)
    assert torch.allclose(once, in_pieces)
    assert torch.equal(once, again)
    assert len(calls) == 2
    assert calls[0] is calls[1]  # layers share one mask
