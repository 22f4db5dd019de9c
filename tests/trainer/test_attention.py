"""Packed attention on processors, in each of its forms."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from trainer.attention import Pack, attend
from trainer.short_rows import Together, side_by_side


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
