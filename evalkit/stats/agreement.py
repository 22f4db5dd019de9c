"""How far two who grade the same answers agree: figures that chance is taken out of, each with an interval.

All of them are functions of *tables*: for each item a square of weights, `table[j, k]` for "one said j, the other k".
Items are independent and what is said about one item is not, so intervals come from a bootstrap over items. A resample
can't contain what the sample happened to miss: perfect agreement on five answers would get an interval of no width. For
the lower end one more item, on which the two disagree, is therefore drawn along with the others.

Source: Cohen 1960 (Educ. Psychol. Meas. 20:37) and 1968 (Psychol. Bull. 70:213), kappa and weighted kappa;
Gwet 2008 (Br. J. Math. Stat. Psychol. 61:29), AC1; Krippendorff 2011, Computing Krippendorff's Alpha-Reliability;
Efron & Tibshirani 1993, An Introduction to the Bootstrap, 13.3 (percentile interval).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.arrays import Floats

Statistic = Callable[[Floats], Floats]

_RESAMPLES = 4000  # percentiles at 2.5 % then rest on 100 resamples
_FEWEST_DEFINED = 0.5  # of the resamples; below that an interval would rest on the lucky ones


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval over `n` pairs of grades; None where the data can't say, with the reason in `note`."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str | None = None


def pair_tables(first: ArrayLike, second: ArrayLike, units: ArrayLike, categories: int) -> Floats:
    """What two said, item by item. Shapes: three equal lengths in, (items, categories, categories) out."""
    one, other, unit = (np.asarray(values, dtype=np.intp) for values in (first, second, units))
    tables = np.zeros((int(unit.max()) + 1 if unit.size else 0, categories, categories))
    np.add.at(tables, (unit, one, other), 1.0)
    return tables


def coincidences(grades: Sequence[Sequence[int]], units: Sequence[int], categories: int) -> Floats:
    """Krippendorff's coincidences, item by item: each pair of the grades that one answer got, both ways round.

    An answer with fewer than two grades adds nothing. `units` are the items that the answers belong to.
    """
    tables = np.zeros((max(units, default=-1) + 1, categories, categories))
    for answer, unit in zip(grades, units, strict=True):
        if len(answer) < 2:
            continue
        counts = np.bincount(answer, minlength=categories).astype(np.float64)
        tables[unit] += (np.outer(counts, counts) - np.diag(counts)) / (len(answer) - 1)
    return tables


def raw_agreement(table: Floats) -> Floats:
    """The share of pairs with equal grades. Shapes here and below: (..., k, k) in, (...) out."""
    return _ratio(np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1)))


def cohen_kappa(table: Floats) -> Floats:
    """(observed - expected) / (1 - expected), expected from the frequencies of each; NaN where all say one thing."""
    return weighted_kappa(table, 1 - np.eye(table.shape[-1]))


def quadratic_kappa(table: Floats) -> Floats:
    """Kappa where a disagreement weighs the square of its distance in levels."""
    place = np.arange(table.shape[-1])
    return weighted_kappa(table, np.subtract.outer(place, place).astype(np.float64) ** 2)


def weighted_kappa(table: Floats, weights: Floats) -> Floats:
    """1 - observed / expected disagreement, each weighted; NaN where no disagreement could be expected."""
    expected = table.sum(-1)[..., :, None] * table.sum(-2)[..., None, :]
    observed = (weights * table).sum((-2, -1)) * table.sum((-2, -1))
    return 1 - _ratio(observed, (weights * expected).sum((-2, -1)))


def gwet_ac1(table: Floats) -> Floats:
    """Agreement beyond chance where only hard answers are graded by chance: holds its sense when one grade is rare."""
    count = table.shape[-1]
    share = _ratio((table.sum(-1) + table.sum(-2)) / 2, table.sum((-2, -1))[..., None])
    chance = (share * (1 - share)).sum(-1) / (count - 1)
    return _ratio(raw_agreement(table) - chance, 1 - chance)


def nominal_alpha(table: Floats) -> Floats:
    """Krippendorff's alpha where grades are equal or not. `table` holds coincidences."""
    return _alpha(table, 1 - np.eye(table.shape[-1]))


def ordinal_alpha(table: Floats) -> Floats:
    """Krippendorff's alpha where grades have an order: the distance of two counts the grades that lie between them."""
    totals = table.sum(-1)
    reached = np.cumsum(totals, -1)
    middle = reached - totals / 2
    return _alpha(table, (middle[..., :, None] - middle[..., None, :]) ** 2)


def _alpha(table: Floats, distances: Floats) -> Floats:
    totals = table.sum(-1)
    pairs = totals[..., :, None] * totals[..., None, :]
    expected = (pairs * distances).sum((-2, -1))
    observed = (table * distances).sum((-2, -1)) * (totals.sum(-1) - 1)
    return 1 - _ratio(observed, expected)


def estimate(statistic: Statistic, tables: Floats, *, alpha: float = 0.05, seed: int = 0) -> Estimate:
    """The statistic of all tables together, with a bootstrap interval over items."""
    used = tables[tables.sum((-2, -1)) > 0]
    count = round(float(used.sum()))
    if not len(used):
        return Estimate(None, None, None, 0, "nothing to compare")
    value = float(statistic(used.sum(0)))
    if np.isnan(value):
        return Estimate(None, None, None, count, "undefined: only one grade was ever given")
    lows, highs = (statistic(_resampled(used, unseen=unseen, seed=seed)) for unseen in (True, False))
    if max(np.isnan(lows).mean(), np.isnan(highs).mean()) > 1 - _FEWEST_DEFINED:
        return Estimate(value, None, None, count, "too few answers have another grade for an interval")
    low, high = float(np.nanquantile(lows, alpha / 2)), float(np.nanquantile(highs, 1 - alpha / 2))
    return Estimate(value, min(low, value), max(high, value), count)


def _resampled(tables: Floats, *, unseen: bool, seed: int) -> Floats:
    """The summed tables of resamples over items; `unseen` puts an item on which the two disagree among them.

    Items with equal tables are drawn together, so their number costs nothing.
    """
    units, size = len(tables), tables.shape[-1]
    kinds, counts = np.unique(tables.reshape(units, -1), axis=0, return_counts=True)
    if unseen:
        kinds, counts = np.vstack([kinds, _disagreement(tables).ravel()]), np.append(counts, 1)
    weights = np.random.default_rng(seed).multinomial(units, counts / counts.sum(), size=_RESAMPLES)
    return np.asarray((weights @ kinds).reshape(-1, size, size))


def _disagreement(tables: Floats) -> Floats:
    """An average item whose pairs all disagree, on the grades that two strangers with these habits would give."""
    total = tables.sum(0)
    strangers = np.outer(total.sum(1), total.sum(0)) * (1 - np.eye(len(total)))
    # Where only one grade was ever given, strangers would not disagree: any two grades then.
    odd = strangers if strangers.sum() else 1 - np.eye(len(total))
    return np.asarray(odd / odd.sum() * total.sum() / len(tables))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """The quotient, NaN where it has none."""
    quotient = np.full(np.broadcast(top, bottom).shape, np.nan)
    np.divide(top, bottom, out=quotient, where=np.asarray(bottom) > 0)
    return quotient
