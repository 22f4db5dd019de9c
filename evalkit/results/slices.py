"""Parts of the items that a reader asks about (a label, a source, short and long ones), guarded against reading noise.

Of twenty slices one differs by chance. So a slice has to have enough items to be looked at, and what is said about it
is adjusted for how many were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from curate.core.rows.row import Row
from curate.core.visible import visible
from evalkit.records.typed import ABSENT
from evalkit.results.score_table import mean_of
from evalkit.stats.arrays import Floats, Mask
from evalkit.stats.compare import Comparison, ComparisonTerms, compare_all
from evalkit.stats.interval import among
from evalkit.stats.significance import holm
from evalkit.suite.items import question_text

MIN_ITEMS = 20  # with fewer, the interval of a share is 20 points to either side, and more
_MOST_VALUES = 40  # of one field: one with more values than this is no way to sort items
_LENGTHS = ("short", "middle", "long")


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the items: those whose `field` has this value. `here` is aligned with the items."""

    field: str
    value: str
    here: Mask


class SliceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A slice's means by contender, and the difference of the two that are compared; no figure for too few items."""

    field: str
    value: str
    n: int
    """Items that both have a score for."""
    means: dict[str, float | None] = ABSENT
    difference: float = ABSENT
    low: float = ABSENT
    high: float = ABSENT
    p: float = ABSENT
    p_adjusted: float = ABSENT
    outcome: Literal["better", "worse", "open", "not-enough"]


def find_slices(items: Sequence[Row], fields: Sequence[str], clusters: Sequence[str] | None) -> list[Slice]:
    """The slices of each field that sorts the items into more than one; `length` is that of the question, in thirds.

    `label`, `source`, `group` and `origin` are the row's, `meta.KEY` stands in its meta, `cluster` is the suite's.
    """
    found = []
    for field in fields:
        names = _names(items, field, clusters)
        distinct = sorted({name for name in names if name is not None}, key=_order)
        if 1 < len(distinct) <= _MOST_VALUES:
            found += [Slice(field, name, np.array([one == name for one in names])) for name in distinct]
    return found


def slice_results(
    slices: Sequence[Slice], values: Mapping[str, Floats], pair: tuple[str, str], level: ComparisonTerms
) -> list[SliceFigures]:
    """Each slice's items, means and difference of the pair, or no figure where it has fewer than 20 scored items.

    `outcome` is `better` or `worse` where the difference is outside noise after Holm over all slices, else `open`.
    """
    a, b = pair
    scored = [int((one.here & ~np.isnan(values[a]) & ~np.isnan(values[b])).sum()) for one in slices]
    enough = [one for one, count in zip(slices, scored, strict=True) if count >= MIN_ITEMS]
    made = [_compared(one, values, pair, level) for one in enough]
    adjusted = iter(zip(made, holm([one.p for one in made]), strict=True))
    lines = []
    for one, count in zip(slices, scored, strict=True):
        shown = visible(one.value, 80)
        if count < MIN_ITEMS:
            lines.append(SliceFigures(field=one.field, value=shown, n=count, outcome="not-enough"))
            continue
        comparison, p = next(adjusted)
        outside = p <= level.alpha and comparison.low * comparison.high > 0
        lines.append(
            SliceFigures(
                field=one.field,
                value=shown,
                n=count,
                means={name: mean_of(of[one.here]) for name, of in values.items()},
                difference=comparison.difference,
                low=comparison.low,
                high=comparison.high,
                p=comparison.p,
                p_adjusted=p,
                outcome=("better" if comparison.difference > 0 else "worse") if outside else "open",
            )
        )
    return lines


def _compared(one: Slice, values: Mapping[str, Floats], pair: tuple[str, str], level: ComparisonTerms) -> Comparison:
    inside = {name: values[name][one.here] for name in pair}
    return compare_all(inside, [pair], replace(level, clusters=among(level.clusters, one.here)))[0]


def _names(items: Sequence[Row], field: str, clusters: Sequence[str] | None) -> list[str | None]:
    if field == "length":
        sizes = [len(question_text(item).split()) for item in items]
        ends = np.quantile(sizes, [1 / 3, 2 / 3]) if sizes else (0, 0)
        return [_LENGTHS[int(np.searchsorted(ends, size))] for size in sizes]
    if field == "cluster":
        return [None] * len(items) if clusters is None else [name.lstrip("=#") for name in clusters]
    if field.startswith("meta."):
        found = [item.meta.get(field.removeprefix("meta.")) for item in items]
    else:
        found = [getattr(item, field, None) for item in items]
    return [None if value is None else str(value) for value in found]


def _order(name: str) -> tuple[int, str]:
    return (_LENGTHS.index(name), "") if name in _LENGTHS else (len(_LENGTHS), name)
