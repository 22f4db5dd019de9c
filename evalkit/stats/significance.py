"""Whether paired differences could be chance: exact where counts allow it, and adjusted for asking more than once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.interval import cluster_codes, is_binary

_RESAMPLES = 19_999  # the smallest p is then 0.0001, well under any level that a family of comparisons needs
_BATCH = 500  # resamples held in memory at once: 500 x 20,000 items are 80 MB


def sign_flip_p(differences: ArrayLike, clusters: Sequence[str] | None = None, seed: int = 0) -> float:
    """The two-sided p of "neither contender is better": each cluster's total could as well have had the other sign.

    Binary scores: exact, and for independent items this is the exact McNemar test. Graded scores: a permutation test,
    exact up to 14 clusters that differ, else with 19,999 resamples from `seed`.
    """
    values = np.asarray(differences, dtype=np.float64)
    codes = cluster_codes(clusters, values.size)
    totals = values if codes is None else np.bincount(codes, weights=values)
    totals = totals[totals != 0]
    if not totals.size:
        return 1.0
    if is_binary(values):
        return _exact_p(totals.astype(np.int64))
    from scipy import stats  # 45 MB and half a second, for graded scores alone

    result = stats.permutation_test(
        (totals,),
        lambda sample, axis: np.sum(sample, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


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
