"""Confidence intervals for a mean and for a paired difference that keep their promise at 0 %, at 100 % and at n = 50.

Binary scores of independent items get the textbook's small-sample intervals: Clopper-Pearson for a mean (never covers
less than it says), Tango's score interval for a paired difference (right where Wald's collapses: no item changed, or
all did). Graded scores, and items that share a cluster, get a bootstrap over clusters (`bootstrap`) where at least 20
clusters differ. Under that a resample can't contain what the sample happened to miss, and they are brought back to the
two above by their *effective size*: the number of independent binary items that would know the mean as well.

- Items that share a cluster repeat one another: the size shrinks by the design effect (Rao & Scott 1992; Korn &
  Graubard 1998 for Clopper-Pearson).
- Graded scores vary less than binary ones of the same mean: the size grows by the ratio of the variances.

Source: Clopper & Pearson 1934; Tango 1998 (Stat. Med. 17:891); Rao & Scott 1992 (Biometrics 48:577);
Korn & Graubard 1998 (Survey Methodology 24:193).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from evalkit.stats.arrays import Floats, Mask
from evalkit.stats.bootstrap import bootstrap_interval

# A variance is estimated as if one more value, or one more whole cluster, had come out half a scale away: a sample that
# happens to hold few differences must not pass for certainty. Without it, coverage falls to 85 % where few differ.
_UNSEEN_VARIANCE = 0.25
_BOOTSTRAP, _EFFECTIVE = "bootstrap over clusters", " at the effective size"
_HALVINGS = 42  # halving [-1, 1] this often leaves less than 1e-12


class Range(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float


class Interval(NamedTuple):
    """An estimate with its confidence interval; `size` is the effective number of items behind it."""

    estimate: float
    low: float
    high: float
    size: float
    method: str


def mean_interval(values: ArrayLike, clusters: Sequence[str] | None = None, alpha: float = 0.05) -> Interval:
    """The mean of scores and its interval.

    Args:
        values: scores in [0, 1], one for each item, none missing.
        clusters: a name for each item; items with equal names count as dependent. None: all are independent.
        alpha: the interval misses the true mean with a chance of at most this.

    Returns: an estimate of NaN with the interval [0, 1] where there are no values.
    """
    scores = np.asarray(values, dtype=np.float64)
    if not scores.size:
        return Interval(float("nan"), 0.0, 1.0, 0.0, "no value")
    mean = float(scores.mean())
    size = effective_size(scores, mean * (1 - mean), clusters, alpha)
    codes = cluster_codes(clusters, scores.size)
    plain = codes is None and is_binary(scores)
    if not plain and (found := bootstrap_interval(scores, codes, alpha)):
        return Interval(mean, max(0.0, found.low), min(1.0, found.high), size, _BOOTSTRAP)
    low, high = clopper_pearson(mean * size, (1 - mean) * size, alpha)
    return Interval(mean, low, high, size, "Clopper-Pearson interval" + ("" if plain else _EFFECTIVE))


def difference_interval(differences: ArrayLike, clusters: Sequence[str] | None = None, alpha: float = 0.05) -> Interval:
    """The mean of paired differences and its interval.

    Args:
        differences: in [-1, 1], one for each item, none missing.
        clusters, alpha: as in `mean_interval`.

    Returns: an estimate of NaN with the interval [-1, 1] where there are no values.
    """
    changes = np.asarray(differences, dtype=np.float64)
    if not changes.size:
        return Interval(float("nan"), -1.0, 1.0, 0.0, "no value")
    gained = float(np.maximum(changes, 0).mean())
    lost = float(np.maximum(-changes, 0).mean())
    size = effective_size(changes, gained + lost - (gained - lost) ** 2, clusters, alpha)
    mean = float(changes.mean())
    codes = cluster_codes(clusters, changes.size)
    plain = codes is None and is_binary(changes)
    if not plain and (found := bootstrap_interval(changes, codes, alpha)):
        return Interval(mean, max(-1.0, found.low), min(1.0, found.high), size, _BOOTSTRAP)
    low, high = tango_interval(gained * size, lost * size, size, alpha)
    return Interval(mean, float(low), float(high), size, "Tango score interval" + ("" if plain else _EFFECTIVE))


def clopper_pearson(hits: float, misses: float, alpha: float = 0.05) -> tuple[float, float]:
    """The exact interval of a share of which so many were seen and so many not. Counts may be fractions."""
    low = float(special.betaincinv(hits, misses + 1, alpha / 2)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, misses, 1 - alpha / 2)) if misses > 0 else 1.0
    return low, high


def tango_interval(gained: ArrayLike, lost: ArrayLike, size: ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Tango's score interval for (gained - lost) / size, where so many of `size` pairs changed for better and worse.

    Shapes: all broadcast together; so are the two results. Counts may be fractions.
    """
    up, down, pairs = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (gained, lost, size)))
    estimate = (up - down) / pairs
    # Both ends at once: the score falls as the difference rises, from `critical` at the low end to its negative.
    critical = float(special.ndtri(1 - alpha / 2))
    level = np.stack([np.full_like(estimate, critical), np.full_like(estimate, -critical)])
    left = np.stack([np.full_like(estimate, -1.0), estimate])
    right = np.stack([estimate, np.full_like(estimate, 1.0)])
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        above = _tango_score(up, down, pairs, middle) > level
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    low, high = (left + right) / 2
    return low, high


def _tango_score(up: Floats, down: Floats, pairs: Floats, difference: Floats) -> Floats:
    """Tango's z for the hypothesis of this `difference`: the denominator uses the likeliest loss share."""
    linear = (2 * pairs - up + down) * difference - up - down
    root = np.sqrt(np.maximum(linear**2 + 8 * pairs * down * difference * (1 - difference), 0))
    loss_share = (root - linear) / (4 * pairs)
    variance = pairs * (2 * loss_share + difference * (1 - difference))
    smallest = 1e-300  # 0 / 0 only where every pair agrees and the hypothesis says so too: then z is 0
    return np.asarray((up - down - pairs * difference) / np.sqrt(np.maximum(variance, smallest)))


def effective_size(
    values: Floats, binary_variance: float, clusters: Sequence[str] | None = None, alpha: float = 0.05
) -> float:
    """How many independent binary items would know the mean of `values` as well as these items do.

    `binary_variance` is the variance that values with this mean have when all of them lie at the ends of the scale.
    A variance estimated from few clusters is itself uncertain: Student's t in place of the normal pays for that.
    """
    count = values.size
    codes = cluster_codes(clusters, count)
    binary = is_binary(values)
    if binary and codes is None:
        return float(count)
    groups = count if codes is None else int(codes.max()) + 1
    if groups < 2:
        return 1.0  # one cluster says nothing about how clusters differ: it counts as one item
    item_variance = float(values.var())
    shape = 1.0 if binary else max(1.0, binary_variance / (item_variance + _UNSEEN_VARIANCE / count))
    size = count * shape / _design_effect(values, item_variance, codes, groups)
    quantile = 1 - alpha / 2
    return float(size * (special.ndtri(quantile) / special.stdtrit(groups - 1, quantile)) ** 2)


def _design_effect(values: Floats, item_variance: float, codes: NDArray[np.intp] | None, groups: int) -> float:
    """The variance of the mean under clustering over that without; at least 1, so luck never buys precision."""
    if codes is None:
        return 1.0
    if item_variance == 0:
        # Nothing differs, so the data can't tell whether a cluster's items repeat one another: assume that they do.
        return values.size / groups
    totals = np.bincount(codes, weights=values - values.mean())
    unseen = _UNSEEN_VARIANCE * (values.size / groups) ** 2
    variance = groups / (groups - 1) * (float((totals**2).sum()) + unseen) / values.size**2
    return max(1.0, variance / (item_variance / values.size))


def cluster_codes(clusters: Sequence[str] | None, count: int) -> NDArray[np.intp] | None:
    """Clusters as numbers from 0, or None where every item is its own."""
    if clusters is None:
        return None
    if len(clusters) != count:
        raise ValueError(f"{len(clusters)} clusters for {count} values")
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.intp)
    return None if len(numbers) == count else codes


def among(clusters: Sequence[str] | None, here: Mask) -> list[str] | None:
    """The clusters of the items that are `here`."""
    return None if clusters is None else [name for name, is_in in zip(clusters, here, strict=True) if is_in]


def is_binary(values: Floats) -> bool:
    """Whether every score, or every difference of scores, lies at an end of the scale or in its middle."""
    return bool(((values == 0) | (np.abs(values) == 1)).all())
