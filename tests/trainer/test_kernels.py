"""Passes over memory in machine code, beside what torch computes in several."""

from typing import Any

import pytest
import torch
from torch.nn.functional import rms_norm, silu

from trainer import kernels
from trainer.layers import rotate

TOKENS, WIDTH = 7, 37  # no multiple of what a processor takes at a time


def randoms(count: int, *shape: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(*shape, generator=generator) for _ in range(count)]


def gradients(computed: torch.Tensor, upstream: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(computed, inputs, upstream)


def close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=2e-6, atol=2e-6 * float(expected.abs().max()))


def test_gates_over_the_whole_range_of_numbers() -> None:
    gate = torch.cat([torch.linspace(-100, 100, 4001), torch.tensor([-1e30, -1e4, -0.0, 1e-30, 1e4, 1e30])])
    up, upstream = torch.full_like(gate, 3.0), torch.full_like(gate, 0.5)
    out, for_gate, for_up = (torch.empty_like(gate) for _ in range(3))
    kernels.run(kernels.gated, (gate, up, out), len(gate))
    kernels.run(kernels.gated_back, (gate, up, upstream, for_gate, for_up), len(gate))
    # In 64 bits, since of large negative numbers torch's own loses all of what is left of the gate.
    wide, wide_up = (part.double().requires_grad_() for part in (gate, up))
    expected = silu(wide) * wide_up
    slopes = gradients(expected, upstream.double(), wide, wide_up)
    # The slope for the gate goes through 0, as a difference of two numbers.
    for ours, theirs, least in zip((out, for_gate, for_up), (expected.detach(), *slopes), (0, 3e-7, 0), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-6, atol=least or 1e-35)


def test_norms_and_their_gradients() -> None:
    x, upstream = randoms(2, TOKENS, WIDTH)
    weight = torch.rand(WIDTH) + 0.5
    out, scale, for_x = torch.empty_like(x), torch.empty(TOKENS), torch.empty_like(x)
    kernels.run(kernels.normed, (x, weight, out, scale), TOKENS, WIDTH, 1e-5)
    kernels.run(kernels.normed_back, (x, weight, scale, upstream, for_x), TOKENS, WIDTH)
    x.requires_grad_()
    expected = rms_norm(x, [WIDTH], weight, 1e-5)
    close(out, expected.detach())
    close(for_x, *gradients(expected, upstream, x))


@pytest.mark.parametrize("heads_at", [1, 2])
def test_turns_with_heads_before_or_behind_the_tokens(heads_at: int) -> None:
    # Two rows, but angles for one: they stand for both, as in the library's own function.
    shape = (2, 3, TOKENS, 8) if heads_at == 1 else (2, TOKENS, 3, 8)
    q, k, for_q, for_k = randoms(4, *shape)
    angles = randoms(1, 1, TOKENS, 4)[0].repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()

    def theirs(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * cos.unsqueeze(heads_at) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(heads_at)

    q.requires_grad_()
    k.requires_grad_()
    ours = rotate(q, k, cos, sin, heads_at)
    for turned, x, upstream in zip(ours, (q, k), (for_q, for_k), strict=True):
        close(turned.detach(), theirs(x).detach())
        close(*gradients(turned, upstream, x), *gradients(theirs(x), upstream, x))


def test_the_gradient_of_a_softmax_takes_the_place_of_that_of_its_weights() -> None:
    scores, upstream = randoms(2, TOKENS, WIDTH)
    scores.requires_grad_()
    weights = (0.3 * scores).softmax(-1)
    (expected,) = gradients(weights, upstream, scores)
    kernels.run(kernels.softmax_back, (weights.detach(), upstream), TOKENS, WIDTH, 0.3)
    close(upstream, expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_finite_number_stays_none(bad: float) -> None:
    x, upstream = randoms(2, TOKENS, WIDTH)
    x[2, 5] = bad
    other, weight, scale = torch.ones_like(x), torch.ones(WIDTH), torch.ones(TOKENS)
    out, more = torch.empty_like(x), torch.empty_like(x)

    def spoilt(found: torch.Tensor) -> bool:
        return not bool(found[2].isfinite().all()) and bool(found[[0, 1, 3]].isfinite().all())

    kernels.run(kernels.gated, (x, other, out), x.numel())
    assert spoilt(out)
    kernels.run(kernels.gated_back, (x, other, upstream, out, more), x.numel())
    assert spoilt(more)
    kernels.run(kernels.normed, (x, weight, out, scale), TOKENS, WIDTH, 1e-5)
    assert spoilt(out) or bad == float("inf")  # x / inf is 0, but the one itself inf / inf
    kernels.run(kernels.softmax_back, (other, x), TOKENS, WIDTH, 1.0)
    assert spoilt(x)


@pytest.mark.parametrize("other", [torch.ones(4, dtype=torch.float64), torch.ones(4, 2)[:, 0]])
def test_other_numbers_are_refused_not_misread(other: Any) -> None:
    out = torch.zeros(4)
    with pytest.raises(TypeError, match="expected float32 without gaps"):
        kernels.run(kernels.gated, (other, torch.ones(4), out), 4)
    assert not out.any()
