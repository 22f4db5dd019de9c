"""Scores as arrays, aligned with the items: NaN where there is none, with the reasons counted."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.rows import Row
from evalkit.records import Score
from evalkit.stats.interval import is_binary

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores by scorer and contender, aligned with the items; NaN where unscored, with the reasons counted."""

    scorers: tuple[str, ...]
    values: Mapping[str, Mapping[str, Floats]]
    reasons: Mapping[str, Mapping[str, Counter[str]]]


def tabulate(items: Sequence[Row], contenders: Sequence[str], scores: Sequence[Score], primary: str) -> ScoreTable:
    """The scores as arrays. A value outside [0, 1] is unscored, and so is an item that has no score at all.

    An item that was answered repeatedly has the mean of its repeats that have a score, so that it counts once.
    Raises: DataError for unknown items or contenders, or two scores for the same answer by one scorer.
    """
    place = {item.id: index for index, item in enumerate(items)}
    if len(place) != len(items):
        raise DataError("two items have the same id", fix="give every item an id of its own")
    scorers = tuple(dict.fromkeys([primary, *(score.scorer for score in scores)]))
    totals = {scorer: {name: np.zeros((2, len(items))) for name in contenders} for scorer in scorers}
    lacking: dict[tuple[str, str, int], str] = {}
    seen: set[tuple[str, str, str, int]] = set()
    for score in scores:
        key = (score.item, score.contender, score.scorer, score.repeat)
        if score.item not in place or score.contender not in totals[primary] or key in seen:
            fault = "given twice" if key in seen else "for an item or a contender that is not in this run"
            raise DataError(f"a score {fault}", where=" / ".join(map(str, key)), fix="run the evaluation again")
        seen.add(key)
        at = place[score.item]
        reason = score.unscored or _fault(score.value)
        if reason is None and score.value is not None:
            totals[score.scorer][score.contender][:, at] += (score.value, 1)
        else:
            lacking.setdefault((score.scorer, score.contender, at), reason or "no value")
    values = {scorer: {name: _means(both) for name, both in found.items()} for scorer, found in totals.items()}
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


def _means(totals: Floats) -> Floats:
    """The mean of each item's scores from their sum and number; NaN where there is none."""
    means = np.full(totals.shape[1], np.nan)
    np.divide(totals[0], totals[1], out=means, where=totals[1] > 0)
    return means


def _fault(value: float | None) -> str | None:
    if value is None:
        return "no value"
    return None if math.isfinite(value) and 0 <= value <= 1 else "a score outside 0 to 1"
