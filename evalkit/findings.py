"""What the scores of some of the items come to: each contender's mean, the comparisons, the ladder verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.visible import visible
from evalkit.ladder import Constant, Ladder, Rules, Rung, Standing, decide
from evalkit.scoring import ConstantAnswer
from evalkit.stats.compare import Comparison, Level, compare_all
from evalkit.stats.interval import among, mean_interval

Floats = NDArray[np.float64]

_CONSTANT = "(constant answer)"  # in brackets: no contender is called so
_SHOWN_ANSWER = 60  # characters of an answer inside a sentence


@dataclass(frozen=True, slots=True)
class Asked:
    """The contenders in climbing order, what all items share, and the share of each one's questions without an answer.

    `constant` is the answer that is given to every item for comparison, if there is one.
    """

    rungs: Mapping[str, Rung]
    errors: Mapping[str, float]
    level: Level
    rules: Rules
    constant: ConstantAnswer | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """Means by contender, every pair compared, the verdict, and what one answer for everything comes to."""

    metrics: Mapping[str, dict[str, Any]]
    comparisons: list[Comparison]
    ladder: Ladder
    constant: Constant | None


def conclude(values: Mapping[str, Floats], asked: Asked, here: NDArray[np.bool_] | None = None) -> Findings:
    """The findings on the primary metric, over all items or those that are `here`."""
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
    return Findings(metrics, comparisons, decide(standings, comparisons, asked.rules, constant), constant)


def metric(values: Floats, clusters: Sequence[str] | None, alpha: float) -> dict[str, Any]:
    """The mean of the scores that are there, with its interval and their number."""
    scored = ~np.isnan(values)
    count = int(scored.sum())
    if not count:
        return {"mean": None, "low": 0.0, "high": 1.0, "n": 0}
    interval = mean_interval(values[scored], among(clusters, scored), alpha)
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high, "n": count}


def _standing(name: str, asked: Asked, found: Mapping[str, Any]) -> Standing:
    mean = found["mean"] if found["mean"] is not None else 0.0
    return Standing(name, asked.rungs[name], mean, found["low"], found["high"], found["n"], asked.errors[name])
