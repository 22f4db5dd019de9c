"""Scores as arrays, aligned with the items: NaN where there is none, with the reasons counted."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.core.errors import DataError
from curate.core.rows.row import Row
from evalkit.records.lines import Score
from evalkit.stats.arrays import Floats
from evalkit.stats.interval import is_binary

_Totals = tuple["array[float]", "array[float]"]
"""Of each item the sum of its scores, and their number."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores by scorer and contender: `values[scorer][contender][place of the item]`, NaN where unscored.

    `reasons[scorer][contender]` counts why items are unscored.
    """

    scorers: tuple[str, ...]
    values: Mapping[str, Mapping[str, Floats]]
    reasons: Mapping[str, Mapping[str, Counter[str]]]


def tabulate(items: Sequence[Row], contenders: Sequence[str], scores: Sequence[Score], primary: str) -> ScoreTable:
    """The scores as arrays. A value outside [0, 1] is unscored, and so is an item that has no score at all.

    An item that was answered repeatedly has the mean of its repeats that have a score, so that it counts once.

    Args:
        items: in the order that the arrays will have.
        scores: in any order.
        primary: the scorer by which an item without any score is counted as unscored.

    Raises: DataError for unknown items or contenders, or two scores for the same answer by one scorer.
    """
    place = {item.id: index for index, item in enumerate(items)}
    if len(place) != len(items):
        raise DataError("two items have the same id", fix="give every item an id of its own")
    totals: dict[str, dict[str, _Totals]] = {}
    empty = bytes(8 * len(items))
    lacking: dict[tuple[str, str, int], str] = {}
    seen: dict[tuple[str, str, int], bytearray] = {}

    def totals_of(scorer: str) -> dict[str, _Totals]:
        if scorer not in totals:
            totals[scorer] = {name: (array("d", empty), array("d", empty)) for name in contenders}
        return totals[scorer]

    known = totals_of(primary)
    for score in scores:
        at, series = place.get(score.item, -1), (score.contender, score.scorer, score.repeat)
        if at < 0 or score.contender not in known:
            raise _bad_score("for an item or a contender that is not in this run", score)
        if series not in seen:
            seen[series] = bytearray(len(items))
        if seen[series][at]:
            raise _bad_score("given twice", score)
        seen[series][at] = 1
        sums, counts = totals_of(score.scorer)[score.contender]
        reason = score.unscored or _fault(score.value)
        if reason is None and score.value is not None:
            sums[at] += score.value
            counts[at] += 1
        else:
            lacking.setdefault((score.scorer, score.contender, at), reason or "no value")
    scorers = tuple(totals)
    values = {scorer: {name: _means(*both) for name, both in found.items()} for scorer, found in totals.items()}
    reasons: dict[str, dict[str, Counter[str]]] = {
        scorer: {name: Counter() for name in contenders} for scorer in scorers
    }
    for (scorer, name, at), reason in lacking.items():
        if np.isnan(values[scorer][name][at]):
            reasons[scorer][name][reason] += 1
    for name in contenders:
        missing = int(np.isnan(values[primary][name]).sum()) - reasons[primary][name].total()
        if missing:
            reasons[primary][name]["no score"] += missing
    return ScoreTable(scorers, values, reasons)


def is_graded(arrays: Iterable[Floats]) -> bool:
    """Whether any score lies between the ends of the scale."""
    return any(not is_binary(array[~np.isnan(array)]) for array in arrays)


def mean_of(values: Floats) -> float | None:
    """The mean of the scores that are there."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else None


def _means(sums: "array[float]", counts: "array[float]") -> Floats:
    """The mean of each item's scores from their sum and number; NaN where there is none."""
    means = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=means, where=np.asarray(counts) > 0)
    return means


def _bad_score(fault: str, score: Score) -> DataError:
    where = " / ".join(map(str, (score.item, score.contender, score.scorer, score.repeat)))
    return DataError(f"a score {fault}", where=where, fix="run the evaluation again")


def _fault(value: float | None) -> str | None:
    if value is None:
        return "no value"
    return None if math.isfinite(value) and 0 <= value <= 1 else "a score outside 0 to 1"
