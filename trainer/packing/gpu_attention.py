# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Attention within packed rows on a GPU: one call of a kernel for all rows, FlashAttention's or else torch's flexible.

Shapes: T tokens, N query heads, H key heads, D head size, K keys, those of learned virtual tokens included.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

from curate.core.console import warn
from trainer.packing.pack import RowSpan

QueryKeyValue = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # query_1NTD, key_1HKD, value_1HKD
Kernel = Callable[..., torch.Tensor]
_BLOCK = 128  # queries and keys that the flexible kernel takes at once
_MOST_RANGES = 2  # of keys that a row sees before its own: what all rows share, and its prompt
# Relative, of two ways to add in half precision; a kernel that lets a row see another is off by far more.
_TOLERANCE = {torch.float32: 1e-2}  # GPUs may multiply with 10 bits there too
_HALF_TOLERANCE = 5e-2


@cache
def flash_kernel(device: str) -> Kernel | None:
    """FlashAttention's kernel for sequences of different lengths, on a GPU where the library is installed."""
    from transformers.utils import is_flash_attn_2_available

    if device != "cuda" or not is_flash_attn_2_available():
        return None
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]  # it installs on GPUs only

    kernel: Kernel = flash_attn_varlen_func
    return kernel


def varlen(
    kernel: Kernel,
    inputs: QueryKeyValue,
    rows: Sequence[RowSpan],
    scale: float | None,
    window: int | None,
    cap: float | None,
) -> torch.Tensor:
    """The rows' attention, out_1TND, by one call of `flash_attn_varlen_func` or what computes the same.

    Each row's keys are laid out behind those that it sees, its own last: the kernel aligns the last query with the last
    key, which is what each row's causality is. Source: Dao, FlashAttention-2 (arXiv:2307.08691), README from 2.1 on.
    """
    query, key, value = inputs
    before = key.shape[2] - query.shape[2]
    ranges = [[*seen, (before + start, before + end)] for start, end, seen in rows]
    own = [end - start for start, end, _ in rows]
    visible = [sum(last - first for first, last in row) for row in ranges]
    at = torch.cat([torch.arange(first, last) for row in ranges for first, last in row]).to(query.device)
    edges = [torch.tensor([0, *accumulate(sizes)], dtype=torch.int32, device=query.device) for sizes in (own, visible)]
    out_TND = kernel(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1)[at],
        value[0].transpose(0, 1)[at],
        *edges,
        max(own),
        max(visible),
        softmax_scale=scale,
        causal=True,
        window_size=(-1, -1) if window is None else (window - 1, 0),
        softcap=cap or 0.0,
        deterministic=True,
    )
    return out_TND[None]


def flexible_kernel(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cap: float | None) -> Kernel | None:
    """torch's flexible attention, compiled for tensors like these, on a GPU where it is found to work; else None."""
    sizes = query.shape[1], key.shape[1], query.shape[3], value.shape[3]
    return _tried_kernel(query.device, query.dtype, sizes, cap)


@cache
def _tried_kernel(
    device: torch.device, dtype: torch.dtype, sizes: tuple[int, int, int, int], cap: float | None
) -> Kernel | None:
    if device.type != "cuda" or not find_spec("triton"):
        return None
    from torch.nn.attention.flex_attention import flex_attention

    kernel: Kernel = torch.compile(flex_attention)
    if computes_attention(kernel, device, dtype, sizes, cap):
        return kernel
    warn("torch's flexible attention doesn't work here, so rows attend one after the other")
    return None


@torch.inference_mode(mode=False)  # whoever attends first may be computing without gradients
@torch.enable_grad()
def computes_attention(
    kernel: Kernel, device: torch.device, dtype: torch.dtype, sizes: tuple[int, int, int, int], cap: float | None
) -> bool:
    """Whether the kernel gives what plain attention does, and its gradients, for two rows behind a prefix.

    `sizes` are the numbers of heads and of key heads, and the sizes of a head and of its values.
    """
    heads, key_heads, size, value_size = sizes
    rows: list[RowSpan] = [(0, 5, []), (5, 90, [(0, 5)]), (90, 200, [(0, 5)])]
    shapes = (heads, size), (key_heads, size), (key_heads, value_size)
    made = torch.Generator().manual_seed(0)
    query, key, value = inputs = tuple(
        torch.randn(1, count, 200, wide, generator=made).to(device, dtype).requires_grad_() for count, wide in shapes
    )
    upstream_1TND = torch.randn(1, 200, heads, value_size, generator=made).to(device, dtype)
    mask = rows_mask(rows, 0, None, device)
    try:
        found = flexible(kernel, (query, key, value), mask, None, cap)
        gradients = torch.autograd.grad(found, inputs, upstream_1TND)
    except Exception:  # noqa: BLE001 - a compiler may fail in any way; there are other ways to attend
        return False
    at_T = torch.arange(200, device=device)
    visible_TK = visible_keys(rows, 200, 0, None, device)(None, None, at_T[:, None], at_T)
    mask_TK = torch.zeros(200, 200, device=device, dtype=dtype).masked_fill_(~visible_TK, float("-inf"))
    expected = plain(query, key, value, mask_TK, None, cap).transpose(1, 2)
    pairs = zip((found, *gradients), (expected, *torch.autograd.grad(expected, inputs, upstream_1TND)), strict=True)
    most = _TOLERANCE.get(dtype, _HALF_TOLERANCE)
    return all(bool((a - b).abs().max() <= most * b.abs().max()) for a, b in pairs)


def plain(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask_TK: torch.Tensor | None,
    scale: float | None,
    cap: float | None,
) -> torch.Tensor:
    """Attention by scores that `mask_TK` is added to, out_1NTD; None: each query sees the keys up to its own.

    With `cap`, scores are squeezed between -cap and cap, which torch has no fast kernel for.
    """
    if not cap:
        grouped, causal = query.shape[1] != key.shape[1], mask_TK is None
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask_TK, is_causal=causal, scale=scale, enable_gqa=grouped
        )
    group, own, size = query.shape[1] // key.shape[1], *query.shape[2:]
    scores_1NTK = query @ key.repeat_interleave(group, 1).transpose(2, 3)
    scores_1NTK = torch.tanh(scores_1NTK * (size**-0.5 if scale is None else scale) / cap) * cap
    if mask_TK is None:
        mask_TK = scores_1NTK.new_full((own, own), float("-inf")).triu(1)
    weights_1NTK = (scores_1NTK + mask_TK).softmax(-1)
    return weights_1NTK @ value.repeat_interleave(group, 1)


def flexible(kernel: Kernel, inputs: QueryKeyValue, mask: Any, scale: float | None, cap: float | None) -> torch.Tensor:
    """The rows' attention, out_1TND, by torch's `flex_attention` or what computes the same, behind `rows_mask`."""
    query, key, value = inputs
    tokens = query.shape[2]

    def squeezed(score: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return torch.tanh(score / cap) * cap if cap else score

    # To whole blocks: few lengths to compile for, and at others gradients were once lost (pytorch issue 153799).
    query, key, value = (pad(part, (0, 0, 0, -part.shape[2] % _BLOCK)) for part in (query, key, value))
    out_1NTD = kernel(
        query, key, value, score_mod=squeezed if cap else None, block_mask=mask, scale=scale, enable_gqa=True
    )
    return out_1NTD[:, :, :tokens].transpose(1, 2).contiguous()


def rows_mask(rows: Sequence[RowSpan], before: int, window: int | None, device: torch.device) -> Any:
    """What `flexible` takes to let each row see itself and what it shares, as torch's BlockMask."""
    from torch.nn.attention.flex_attention import create_block_mask

    tokens = rows[-1][1]
    queries, keys = (count + -count % _BLOCK for count in (tokens, before + tokens))
    sees = visible_keys(rows, queries, before, window, device)
    return create_block_mask(sees, None, None, queries, keys, device=device, BLOCK_SIZE=_BLOCK)


def visible_keys(
    rows: Sequence[RowSpan], tokens: int, before: int, window: int | None, device: torch.device
) -> Callable[..., torch.Tensor]:
    """Tells of a query's and a key's number whether the one sees the other. Queries of no row see the first key."""
    firsts, lasts = torch.zeros(2, _MOST_RANGES, tokens, dtype=torch.int32)
    # Numbers of keys go beyond the sequence, to the end of its last block.
    own, positions = (torch.full((size,), -1, dtype=torch.int32) for size in (tokens, before + tokens + _BLOCK))
    positions[:before] = torch.arange(before)
    for start, end, seen in rows:
        own[start:end] = before + start
        for number, (first, last) in enumerate(seen):
            firsts[number, start:end], lasts[number, start:end] = first, last
        shared = sum(last - first for first, last in seen)
        positions[before + start : before + end] = torch.arange(shared, shared + end - start)
    of_none = own < 0
    lasts[0, of_none], own[of_none] = 1, before + tokens
    (first, other_first), (last, other_last) = firsts.to(device), lasts.to(device)
    own, positions = own.to(device), positions.to(device)

    def sees(_batch: Any, _head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        shared = ((k >= first[q]) & (k < last[q])) | ((k >= other_first[q]) & (k < other_last[q]))
        visible: torch.Tensor = shared | ((k >= own[q]) & (k <= before + q))
        return visible if window is None else visible & (positions[before + q] - positions[k] < window)

    return sees
