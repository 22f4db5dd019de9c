"""One rule's figures: an estimate with one-sided bounds; what is missing counts against whoever would gain by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.corrected import Corrected
from evalkit.stats.interval import difference_interval, mean_interval
from evalkit.stats.power import items_to_settle
from evalkit.verdict import Outcome

Floats = NDArray[np.float64]
_POWER = 0.8  # the usual chance of finding an effect that is there


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate with its one-sided bounds, over `n` items of which `missing` lack a score.

    `low` is the bound if every missing score were the least favourable to the contender, `high` if the most.
    """

    estimate: float | None
    low: float
    high: float
    n: int
    missing: int
    method: str


def difference_bounds(ours: Floats, theirs: Floats, clusters: Sequence[str] | None, alpha: float) -> Bounds:
    """Ours minus theirs, paired on items."""
    differences = ours - theirs
    paired = ~np.isnan(differences)
    worst = difference_interval(np.nan_to_num(ours, nan=0.0) - np.nan_to_num(theirs, nan=1.0), clusters, 2 * alpha)
    best = difference_interval(np.nan_to_num(ours, nan=1.0) - np.nan_to_num(theirs, nan=0.0), clusters, 2 * alpha)
    estimate = float(differences[paired].mean()) if paired.any() else None
    return Bounds(estimate, worst.low, best.high, differences.size, int((~paired).sum()), "paired difference")


def mean_bounds(values: Floats, clusters: Sequence[str] | None, alpha: float) -> Bounds:
    """The mean of one contender."""
    scored = ~np.isnan(values)
    worst = mean_interval(np.nan_to_num(values, nan=0.0), clusters, 2 * alpha)
    best = mean_interval(np.nan_to_num(values, nan=1.0), clusters, 2 * alpha)
    estimate = float(values[scored].mean()) if scored.any() else None
    return Bounds(estimate, worst.low, best.high, values.size, int((~scored).sum()), "mean")


def corrected_bounds(found: Corrected, count: int) -> Bounds:
    """The bounds of a judge's figure that people's labels corrected."""
    labels = " and ".join(map(str, found.labels))
    method = f"judge corrected by {labels} labels; by itself it says {found.judged * 100:+.0f} points"
    return Bounds(found.estimate, found.low, found.high, count, round(found.missing * count), method)


def decide(bounds: Bounds, limit: float, loss_below: float) -> Outcome:
    """`pass` where the bound clears `limit`, `fail` where the other bound is below `loss_below`."""
    if bounds.low > limit:
        return "pass"
    return "fail" if bounds.high < loss_below else "inconclusive"


def items_to_decide(bounds: Bounds, limit: float, loss_below: float, alpha: float) -> int | None:
    """About how many items would decide it with a power of 80 % if the truth is the estimate; None where none would."""
    if bounds.estimate is None or bounds.missing:
        return None
    gap = max(bounds.estimate - limit, loss_below - bounds.estimate)
    half = (bounds.high - bounds.low) / 2
    return items_to_settle(bounds.n, half, gap, 2 * alpha, _POWER) if half > 0 else None
