"""Whether paired differences could be chance: exact where counts allow it, and adjusted for asking more than once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.interval import cluster_codes, is_binary

_RESAMPLES = 19_999  # the smallest p is then 0.00005, well under any level that a family of comparisons needs
_EXACT = 14  # the most totals whose sign patterns are all tried: 2^14 are fewer than the resamples
_AT_ONCE = 1_000_000  # signs held in memory: 8 MB
_ROUNDING = 1e-12  # of the totals' sizes together: sums that differ by less are equal, but for the order of adding


def sign_flip_p(differences: ArrayLike, clusters: Sequence[str] | None = None, seed: int = 0) -> float:
    """The two-sided p of "neither contender is better": each cluster's total could as well have had the other sign.

    Binary scores: exact, and for independent items this is the exact McNemar test. Graded scores: a permutation test,
    exact up to 14 clusters that differ, else with 19,999 resamples from `seed`, the observed signs counted with them.
    """
    values = np.asarray(differences, dtype=np.float64)
    codes = cluster_codes(clusters, values.size)
    totals = values if codes is None else np.bincount(codes, weights=values)
    totals = totals[totals != 0]
    if not totals.size:
        return 1.0
    if is_binary(values):
        return _exact_p(totals.astype(np.int64))
    return _graded_p(totals, seed)


def _graded_p(totals: NDArray[np.float64], seed: int) -> float:
    """As `_exact_p` for totals that are no whole numbers: of all sign patterns, or of many drawn by chance."""
    observed, size = float(totals.sum()), totals.size
    reach = abs(observed) - _ROUNDING * float(np.abs(totals).sum())

    def as_far(flipped: NDArray[np.integer[Any]]) -> int:
        """Of these patterns, shape (patterns, totals) with 1 for another sign, those whose sum is as far from zero."""
        return int(np.count_nonzero(np.abs(observed - 2 * (flipped @ totals)) >= reach))

    if size <= _EXACT:
        patterns = np.arange(2**size)
        return as_far(patterns[:, None] >> np.arange(size) & 1) / patterns.size
    random, found = np.random.default_rng(seed), 1
    row_bytes, rows = -(-size // 8), max(1, _AT_ONCE // size)
    for start in range(0, _RESAMPLES, rows):
        drawn = random.bytes(min(rows, _RESAMPLES - start) * row_bytes)
        found += as_far(np.unpackbits(np.frombuffer(drawn, np.uint8).reshape(-1, row_bytes), axis=1, count=size))
    return found / (_RESAMPLES + 1)


def _exact_p(totals: NDArray[np.int64]) -> float:
    """The share of all sign patterns whose sum is at least as far from zero as the observed one.

    Clusters of one size flip independently, so their sum is binomial; sums over sizes are convolutions.
    """
    chance = np.ones(1)
    for size, count in zip(*np.unique(np.abs(totals), return_counts=True), strict=True):
        # Of `count` clusters, k keep a plus: the positive part of the sum is k * size.
        steps = np.zeros(int(size) * int(count) + 1)
        steps[:: int(size)] = _fair_coins(int(count))
        chance = np.convolve(chance, steps)
    reach = int(np.abs(totals).sum())
    sums = 2 * np.arange(chance.size) - reach
    return min(1.0, float(chance[np.abs(sums) >= abs(int(totals.sum()))].sum()))


def _fair_coins(count: int) -> NDArray[np.float64]:
    """The chance of 0 to `count` heads among so many coins: from the middle out, where nothing is too small to hold."""
    middle = count // 2
    # How many times likelier one head more is: (count - heads) / (heads + 1).
    upper = np.cumprod(np.arange(count - middle, 0, -1) / np.arange(middle + 1, count + 1))
    weights = np.concatenate([upper[count % 2 :][::-1], np.ones(1), upper])
    return np.asarray(weights / weights.sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted so that any false alarm among them is rarer than the level. Source: Holm 1979."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def climbing_p(names: Sequence[str], p: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The p of each contender (a) against each cheaper one (b), adjusted for climbing a ladder in a fixed order.

    From the cheapest rung up, each is asked whether anything costlier is better: Holm over the costlier ones. The next
    rung is asked only where the answer was yes, so that the whole climb goes one rung too far with a chance of at most
    alpha, and no rung pays for the questions that stand above it. `names` go from the cheapest to the costliest.

    Source: Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001 (J. Stat. Plan. Inference 99:25).
    """
    found: dict[tuple[str, str], float] = {}
    so_far = 0.0
    for place, cheaper in enumerate(names[:-1]):
        costlier = names[place + 1 :]
        adjusted = holm([p[name, cheaper] for name in costlier])
        found |= {(name, cheaper): max(one, so_far) for name, one in zip(costlier, adjusted, strict=True)}
        so_far = max(so_far, min(adjusted))
    return found
