"""Packed attention on processors."""

from types import SimpleNamespace

import torch

from trainer.packing.attention import attend, query_blocks
from trainer.packing.pack import Pack


def test_long_rows_are_computed_in_pieces_that_together_are_the_row() -> None:
    generator = torch.Generator().manual_seed(6)
    query = torch.randn(1, 4, 300, 8, generator=generator, requires_grad=True)
    key, value = (torch.randn(1, 2, 300, 8, generator=generator, requires_grad=True) for _ in range(2))
    pack = Pack(0, [(0, 300)], torch.tensor([299]))
    assert len(query_blocks(pack, 0, None, query)) == 5
    ours, _ = attend(SimpleNamespace(), query, key, value, None, pack=pack)
    plain = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    assert torch.allclose(ours, plain.transpose(1, 2), atol=1e-5)
    weights = torch.randn(ours.shape, generator=generator)
    found = torch.autograd.grad((ours * weights).sum(), (query, key, value))
    expected = torch.autograd.grad((plain.transpose(1, 2) * weights).sum(), (query, key, value))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
