"""Contenders compared on all items, or on some of them: each one's mean, every pair, the ladder's verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from curate.core.visible import visible
from evalkit.results.ladder import Constant, Ladder, LadderRules, Standing, decide
from evalkit.scorers.score_all import ConstantAnswer
from evalkit.stats.arrays import Floats, Mask
from evalkit.stats.compare import Comparison, ComparisonTerms, compare_all
from evalkit.stats.interval import among, mean_interval
from evalkit.suite.contenders import Rung

_CONSTANT = "(constant answer)"  # in brackets: no contender is called so
_SHOWN_ANSWER = 60  # characters of an answer inside a sentence


class Metric(msgspec.Struct, frozen=True):
    """The mean of `n` scores with its interval; no mean, and the widest interval, where there are none."""

    mean: float | None
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class LadderTerms:
    """What a verdict is taken by.

    `rungs`: each contender's, in climbing order. `errors`: the share of its questions that have no answer. `constant`:
    one answer given to every item for comparison, if there is one.
    """

    rungs: Mapping[str, Rung]
    errors: Mapping[str, float]
    level: ComparisonTerms
    rules: LadderRules
    constant: ConstantAnswer | None = None


@dataclass(frozen=True, slots=True)
class LadderFindings:
    """Means by contender, every pair compared, the verdict, and what one answer for everything comes to."""

    metrics: Mapping[str, Metric]
    comparisons: list[Comparison]
    ladder: Ladder
    constant: Constant | None


def conclude(values: Mapping[str, Floats], asked: LadderTerms, here: Mask | None = None) -> LadderFindings:
    """The findings on the primary metric.

    Args:
        values: each contender's scores, one for each item, NaN where there is none.
        asked: what the verdict is taken by.
        here: the items that count; all of them where it is None.
    """
    level, constant = asked.level, None
    floor = None if asked.constant is None else np.array([np.nan if v is None else v for v in asked.constant.values])
    if here is not None:
        values = {name: scores[here] for name, scores in values.items()}
        floor = None if floor is None else floor[here]
        level = replace(level, clusters=among(level.clusters, here))
    names = list(asked.rungs)
    pairs = [(a, b) for position, a in enumerate(names) for b in names[:position]]
    comparisons = compare_all(values, pairs, level)
    metrics = {name: metric(values[name], level.clusters, level.alpha) for name in names}
    if asked.constant and floor is not None and not np.isnan(floor).all():
        against = compare_all({**values, _CONSTANT: floor}, [(name, _CONSTANT) for name in names], level)
        text = visible(asked.constant.text, _SHOWN_ANSWER)
        constant = Constant(text, float(np.nanmean(floor)), tuple(against))
    standings = [_standing(name, asked, metrics[name]) for name in names]
    return LadderFindings(metrics, comparisons, decide(standings, comparisons, asked.rules, constant), constant)


def metric(values: Floats, clusters: Sequence[str] | None, alpha: float) -> Metric:
    """The mean of the scores that are there, with its interval and their number."""
    scored = ~np.isnan(values)
    count = int(scored.sum())
    if not count:
        return Metric(None, 0.0, 1.0, 0)
    interval = mean_interval(values[scored], among(clusters, scored), alpha)
    return Metric(interval.estimate, interval.low, interval.high, count)


def _standing(name: str, asked: LadderTerms, found: Metric) -> Standing:
    return Standing(name, asked.rungs[name], found.mean or 0.0, found.low, found.high, found.n, asked.errors[name])
