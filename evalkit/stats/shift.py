"""Two independent samples: by how much one lies above the other, how two shares differ, what lies beyond a limit.

Production logs and evaluation items are different items, so nothing here is paired.

Source: Newcombe 2006 (Stat. Med. 25:559, method 5) for the chance of superiority; Newcombe 1998 (Stat. Med. 17:873,
method 10) for the difference of two shares; Clopper & Pearson 1934 for one share.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from evalkit.stats.interval import Range, clopper_pearson

_HALVINGS = 48  # halving [0, 1] this often leaves less than 1e-14


def superiority(new: ArrayLike, old: ArrayLike, alpha: float = 0.05) -> Range:
    """The chance that a value of `new` is above one of `old`, ties counted half: 0.5 where nothing changed.

    Needs no scale and no shape of the values. Where all of one sample lies above the other, the interval still has a
    width. No values on a side: an estimate of NaN with the interval [0, 1].
    """
    a, b = np.asarray(new, dtype=np.float64), np.asarray(old, dtype=np.float64)
    if not a.size or not b.size:
        return Range(float("nan"), 0.0, 1.0)
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, "left") + np.searchsorted(ordered, a, "right")
    estimate = float(below.sum() / (2 * a.size * b.size))
    critical = float(special.ndtri(1 - alpha / 2))

    def score(chance: float) -> float:
        return abs(chance - estimate) - critical * _superiority_spread(chance, a.size, b.size)

    return Range(estimate, _end(score, estimate, 0.0), _end(score, estimate, 1.0))


def _superiority_spread(chance: float, m: int, n: int) -> float:
    """The standard error under two exponential distributions with this chance; made smooth at the ends."""
    mean = (m + n) / 2
    other = 1 - chance
    inner = 1 + (mean - 1) * (other / (2 - chance) + chance / (1 + chance))
    return float(np.sqrt(chance * other * inner / (m * n)))


def _end(score: Callable[[float], float], inside: float, outside: float) -> float:
    """Where the score crosses zero between the estimate, where it is below, and an end of the scale."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if score(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return inside


def share_difference(new: tuple[int, int], old: tuple[int, int], alpha: float = 0.05) -> Range:
    """The share in `new` minus the share in `old`, each given as (how many, of how many).

    No items on a side: an estimate of NaN with the interval [-1, 1].
    """
    (a, m), (b, n) = new, old
    if not m or not n:
        return Range(float("nan"), -1.0, 1.0)
    first, second = a / m, b / n
    low_a, high_a = _wilson(a, m, alpha)
    low_b, high_b = _wilson(b, n, alpha)
    gap = first - second
    low = gap - np.hypot(first - low_a, high_b - second)
    high = gap + np.hypot(high_a - first, second - low_b)
    return Range(gap, max(-1.0, float(low)), min(1.0, float(high)))


def _wilson(count: int, size: int, alpha: float) -> tuple[float, float]:
    z = float(special.ndtri(1 - alpha / 2))
    middle = (count + z * z / 2) / (size + z * z)
    half = z / (size + z * z) * np.sqrt(count * (size - count) / size + z * z / 4)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share(count: int, size: int, alpha: float = 0.05) -> Range:
    """A share with its exact interval. No items: an estimate of NaN with the interval [0, 1]."""
    if not size:
        return Range(float("nan"), 0.0, 1.0)
    return Range(count / size, *clopper_pearson(count, size - count, alpha))


def at_most(count: int, size: int, alpha: float = 0.05) -> float:
    """The one-sided exact upper bound of a rate of which `count` of `size` were seen: 0 of 100 is at most 3 %.

    Source: Clopper & Pearson 1934, one-sided; for count 0 it is 1 - alpha^(1/size), the "rule of three".
    """
    return clopper_pearson(count, size - count, 2 * alpha)[1]


def beyond(new: ArrayLike, old: ArrayLike, part: float, alpha: float = 0.05) -> tuple[Range, Range]:
    """The share of `new` below the value that `part` of `old` lies below, and the share to expect if nothing changed.

    The limit is the k-th smallest of n old values, so the share of all such values below it is Beta(k, n + 1 - k)
    distributed (order statistics of a continuous distribution): the interval of the expected share.
    """
    a, b = np.asarray(new, dtype=np.float64), np.sort(np.asarray(old, dtype=np.float64))
    if not a.size or not b.size:
        return Range(float("nan"), 0.0, 1.0), Range(part, 0.0, 1.0)
    rank = max(1, round(part * b.size))
    low, high = (float(special.betaincinv(rank, b.size + 1 - rank, level)) for level in (alpha / 2, 1 - alpha / 2))
    found = share(int((a < b[rank - 1]).sum()), a.size, alpha)
    return found, Range(rank / (b.size + 1), low, high)
