"""One rule's figures: an estimate with one-sided bounds; what is missing counts against whoever would gain by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.gate.verdict_file import GateOutcome
from evalkit.stats.arrays import Floats
from evalkit.stats.corrected import CorrectedEstimate
from evalkit.stats.interval import difference_interval, mean_interval
from evalkit.stats.power import items_to_settle

_POWER = 0.8  # the usual chance of finding an effect that is there


@dataclass(frozen=True, slots=True)
class RuleBounds:
    """An estimate with its one-sided bounds, over `n` items of which `missing` lack a score.

    `low` is the bound if every missing score were the least favourable to the contender, `high` if the most.
    """

    estimate: float | None
    low: float
    high: float
    n: int
    missing: int
    method: str


def difference_bounds(ours: Floats, theirs: Floats, clusters: Sequence[str] | None, alpha: float) -> RuleBounds:
    """Ours minus theirs, paired on items."""
    differences = ours - theirs
    paired = ~np.isnan(differences)
    worst = difference_interval(np.nan_to_num(ours, nan=0.0) - np.nan_to_num(theirs, nan=1.0), clusters, 2 * alpha)
    best = difference_interval(np.nan_to_num(ours, nan=1.0) - np.nan_to_num(theirs, nan=0.0), clusters, 2 * alpha)
    estimate = float(differences[paired].mean()) if paired.any() else None
    return RuleBounds(estimate, worst.low, best.high, differences.size, int((~paired).sum()), "paired difference")


def mean_bounds(values: Floats, clusters: Sequence[str] | None, alpha: float) -> RuleBounds:
    """The mean of one contender."""
    scored = ~np.isnan(values)
    worst = mean_interval(np.nan_to_num(values, nan=0.0), clusters, 2 * alpha)
    best = mean_interval(np.nan_to_num(values, nan=1.0), clusters, 2 * alpha)
    estimate = float(values[scored].mean()) if scored.any() else None
    return RuleBounds(estimate, worst.low, best.high, values.size, int((~scored).sum()), "mean")


def corrected_bounds(found: CorrectedEstimate, count: int) -> RuleBounds:
    """The bounds of a judge's figure that people's labels corrected."""
    labels = " and ".join(map(str, found.labels))
    method = f"judge corrected by {labels} labels; by itself it says {found.judged * 100:+.0f} points"
    return RuleBounds(found.estimate, found.low, found.high, count, round(found.missing * count), method)


def decide(bounds: RuleBounds, limit: float, loss_below: float) -> GateOutcome:
    """`pass` where the bound clears `limit`, `fail` where the other bound is below `loss_below`."""
    if bounds.low > limit:
        return "pass"
    return "fail" if bounds.high < loss_below else "inconclusive"


def items_to_decide(bounds: RuleBounds, limit: float, loss_below: float, alpha: float) -> int | None:
    """About how many items would decide it with a power of 80 % if the truth is the estimate; None where none would."""
    if bounds.estimate is None or bounds.missing:
        return None
    gap = max(bounds.estimate - limit, loss_below - bounds.estimate)
    half = (bounds.high - bounds.low) / 2
    return items_to_settle(bounds.n, half, gap, 2 * alpha, _POWER) if half > 0 else None
