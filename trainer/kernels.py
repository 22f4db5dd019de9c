# ruff: noqa: N806 - an array's name ends in its shape
"""What a training computes besides products, each as one or two passes over memory: machine code for float32.

Every function takes the addresses of arrays and writes to the last ones: to make an array of a tensor takes three calls
of torch, in each of which another thread may take the interpreter. Shapes: X tokens, H width, N heads, D head size, S
keys, M any numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from curate.core.numba_kernels import Number, call, compiled_for_floats, floats_at

F32, I32 = np.float32, np.int32
_BIAS, _FRACTION_BITS = I32(127), I32(23)  # of a float32
_LEAST, _MOST = F32(-87), F32(89)  # e^-87 is nearly the least number with all its bits, e^89 beyond the largest


@compiled_for_floats
def _exp(x: Number) -> Number:
    """e^x, off by some 1e-7 of itself; infinite from 88.4 on, e^-87 below -87.

    e^x = 2^n e^r for the whole number n next to x / ln 2. With |r| < 0.35, e^r by a polynomial. Source: Moshier, Cephes
    (expf).
    """
    y = _MOST if x > _MOST else _LEAST if x < _LEAST else x  # what is no number stays none, which `min` would lose
    n = np.floor(y * F32(1.44269504) + F32(0.5))
    r = y - n * F32(0.693359375) + n * F32(2.12194440e-4)  # ln 2 in two parts, so that the difference is exact
    p = F32(1.9875691500e-4)
    p = p * r + F32(1.3981999507e-3)
    p = p * r + F32(8.3334519073e-3)
    p = p * r + F32(4.1665795894e-2)
    p = p * r + F32(1.6666665459e-1)
    p = p * r + F32(5.0000001201e-1)
    power = I32((I32(n) + _BIAS) << _FRACTION_BITS)
    return (p * r * r + r + F32(1)) * power.view(np.float32)


@compiled_for_floats
def gated(gate: int, up: int, out: int, count: int) -> None:
    """silu(gate) * up."""
    gate_M, up_M, out_M = floats_at(gate, count), floats_at(up, count), floats_at(out, count)
    for i in range(count):
        out_M[i] = gate_M[i] / (F32(1) + _exp(-gate_M[i])) * up_M[i]


@compiled_for_floats
def gated_back(gate: int, up: int, upstream: int, for_gate: int, for_up: int, count: int) -> None:
    """The gradients of both: with s = sigmoid(gate), d up s (1 + gate (1 - s)) and d gate s."""
    gate_M, up_M, upstream_M = floats_at(gate, count), floats_at(up, count), floats_at(upstream, count)
    for_gate_M, for_up_M = floats_at(for_gate, count), floats_at(for_up, count)
    for i in range(count):
        s = F32(1) / (F32(1) + _exp(-gate_M[i]))
        silu = gate_M[i] * s
        for_gate_M[i] = upstream_M[i] * up_M[i] * (s + silu * (F32(1) - s))
        for_up_M[i] = upstream_M[i] * silu


@compiled_for_floats
def normed(x: int, weight: int, out: int, scale: int, tokens: int, width: int, epsilon: float) -> None:
    """x s * weight for each token, with s = 1 / rms(x)."""
    x_XH, out_XH = floats_at(x, (tokens, width)), floats_at(out, (tokens, width))
    weight_H, scale_X = floats_at(weight, width), floats_at(scale, tokens)
    for t in range(tokens):
        squares = F32(0)
        for i in range(width):
            squares += x_XH[t, i] * x_XH[t, i]
        s = F32(1) / np.sqrt(squares / F32(width) + F32(epsilon))
        scale_X[t] = s
        for i in range(width):
            out_XH[t, i] = x_XH[t, i] * s * weight_H[i]


@compiled_for_floats
def normed_back(x: int, weight: int, scale: int, upstream: int, for_x: int, tokens: int, width: int) -> None:
    """With y = s x w and s = (mean(x^2) + e)^(-1/2): dx = s (w dy - x s^2 mean(x w dy))."""
    x_XH, upstream_XH = floats_at(x, (tokens, width)), floats_at(upstream, (tokens, width))
    for_x_XH = floats_at(for_x, (tokens, width))
    weight_H, scale_X = floats_at(weight, width), floats_at(scale, tokens)
    for t in range(tokens):
        shared, s = F32(0), scale_X[t]
        for i in range(width):
            shared += upstream_XH[t, i] * weight_H[i] * x_XH[t, i]
        shared *= s * s / F32(width)
        for i in range(width):
            for_x_XH[t, i] = (upstream_XH[t, i] * weight_H[i] - x_XH[t, i] * shared) * s


@compiled_for_floats
def turned(x: int, cos: int, sin: int, out: int, shape: tuple[int, int, int], sense: float) -> None:
    """(x1 c - x2 s, x2 c + x1 s) of the halves x1 and x2 of each head; the turn the other way with `sense` -1."""
    tokens, heads, size = shape
    x_XND, out_XND = floats_at(x, shape), floats_at(out, shape)
    cos_XD, sin_XD = floats_at(cos, (tokens, size)), floats_at(sin, (tokens, size))
    half, way = size // 2, F32(sense)
    for t in range(tokens):
        for n in range(heads):
            for i in range(half):
                first, second = x_XND[t, n, i], x_XND[t, n, i + half]
                out_XND[t, n, i] = first * cos_XD[t, i] - second * sin_XD[t, i] * way
                out_XND[t, n, i + half] = second * cos_XD[t, i + half] + first * sin_XD[t, i + half] * way


@compiled_for_floats
def softmax_back(weights: int, upstream: int, rows: int, width: int, scale: float) -> None:
    """The gradient d for the weights W = softmax(scale scores) becomes the scores' own: scale W (d - sum(W d))."""
    weights_XS, upstream_XS, factor = floats_at(weights, (rows, width)), floats_at(upstream, (rows, width)), F32(scale)
    for x in range(rows):
        shared = F32(0)
        for k in range(width):
            shared += weights_XS[x, k] * upstream_XS[x, k]
        for k in range(width):
            upstream_XS[x, k] = weights_XS[x, k] * (upstream_XS[x, k] - shared) * factor


def run(kernel: Callable[..., None], parts: Sequence[torch.Tensor], *more: Any) -> None:
    """Run one of the above on tensors.

    Raises: TypeError for other numbers, and for such as don't lie one behind the other.
    """
    for part in parts:
        if part.dtype is not torch.float32 or not part.is_contiguous():
            raise TypeError(f"expected float32 without gaps, got {part.dtype} with strides {part.stride()}")
    call(kernel, *(part.data_ptr() for part in parts), *more)
