"""How many items a question needs, and what the items at hand can answer.

Binary scores on the same items: only items that one contender gets right and the other wrong say anything. Their share
is the *discordance*; a plan has to assume it. Graded scores: the standard deviation of the differences takes its place.

Items that share a cluster repeat one another. With clusters of m items on average (weighted by size) and a likeness r
(the intraclass correlation), n items know as much as n / (1 + (m - 1) r) independent ones.

Source: Connor 1987 (Biometrics 43:207) and Lachin 1992 for paired binary scores, where the exact test's power is worked
out by enumeration; Kish 1965 for the design effect.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_MOST_ITEMS = 10_000_000  # a question that needs more is not settled by counting
_CLOSEST = 0.25  # a difference closer to the line than this share of the useful effect is settled by judgement


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a plan takes for granted. Units: shares of the scale from 0 to 1."""

    discordance: float = 0.3
    """The share of items that two contenders answer differently, for binary scores."""
    spread: float | None = None
    """The standard deviation of the differences, for graded scores; None: the scores are binary."""
    likeness: float = 0.5
    """The intraclass correlation of items that share a cluster."""


@dataclass(frozen=True, slots=True)
class Power:
    """What a number of items can tell, and how many are needed. `effective` items are independent ones."""

    items: int
    effective: float
    clusters: int
    effect: float
    power: float
    """The chance of telling a difference of `effect` from none with these items."""
    needed: int | None
    """Items for the wanted power, at today's clusters; None where no number of items brings it."""
    detectable: float | None
    """The smallest difference that these items tell from none with the wanted power."""


def plan_power(
    clusters: Sequence[str] | None, items: int, *, effect: float, alpha: float, power: float, assumed: Assumed
) -> Power:
    """What `items` items (in `clusters`, one name each, or independent) can tell about a difference of `effect`."""
    inflation = design_effect(clusters, assumed.likeness) if clusters is not None else 1.0
    effective = items / inflation

    def chance(size: float, difference: float) -> float:
        if assumed.spread is not None:
            return graded_power(size, difference, assumed.spread, alpha)
        return binary_power(round(size), difference, max(assumed.discordance, difference), alpha)

    needed = _least(lambda size: chance(size, effect), power)
    return Power(
        items=items,
        effective=effective,
        clusters=len(set(clusters)) if clusters is not None else items,
        effect=effect,
        power=chance(effective, effect),
        needed=None if needed is None else math.ceil(needed * inflation),
        detectable=_smallest(lambda difference: chance(effective, difference), power),
    )


def design_effect(clusters: Sequence[str], likeness: float) -> float:
    """How many items in these clusters know as much as one independent item; at least 1."""
    sizes = np.array(list(Counter(clusters).values()), dtype=np.float64)
    weighted = float((sizes**2).sum() / sizes.sum()) if sizes.size else 1.0
    return 1 + (weighted - 1) * likeness


def binary_power(items: int, effect: float, discordance: float, alpha: float = 0.05) -> float:
    """The chance that the exact McNemar test finds a difference of `effect`, where `discordance` of the items differ.

    Exact: every number of items that differ, and every split of them, weighted by its chance.
    """
    if items < 1:
        return 0.0
    if items > 5_000:  # enumeration gets slow, and the normal approximation is a point of power away
        error = math.sqrt((discordance - effect**2) / items)
        critical = NormalDist().inv_cdf(1 - alpha / 2) * math.sqrt(discordance / items)
        return 1 - NormalDist(effect, max(error, 1e-12)).cdf(critical)
    from scipy import stats  # 45 MB that a run without this question does without

    differ = np.arange(items + 1)
    chances = stats.binom.pmf(differ, items, discordance)
    likely = chances > 1e-12
    differ, chances = differ[likely], chances[likely]
    # The test rejects where the smaller side is at most this; -1 where no split is rare enough.
    limits = stats.binom.ppf(alpha / 2, differ, 0.5)
    limits = np.where(stats.binom.cdf(limits, differ, 0.5) > alpha / 2, limits - 1, limits)
    gains = (discordance + effect) / 2 / discordance  # of the items that differ, the share that is better
    found = stats.binom.cdf(limits, differ, 1 - gains) + stats.binom.cdf(limits, differ, gains)
    return float((chances * found).sum())


def graded_power(items: float, effect: float, spread: float, alpha: float = 0.05) -> float:
    """The chance that a paired t test finds a mean difference of `effect` with this standard deviation.

    Permutation tests of graded scores find what a t test finds from a dozen items on.
    """
    if items < 2:
        return 0.0
    from scipy import stats

    freedom, shift = items - 1, effect / spread * math.sqrt(items)
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    found = float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))
    return 1.0 if math.isnan(found) else found  # scipy gives up where the shift is so large that nothing can miss it


def items_to_settle(items: int, half_width: float, gap: float, alpha: float, power: float) -> int | None:
    """Items that find a `gap` with this power at today's noise, two digits of them; more than there are now.

    `half_width` is that of the interval at level `alpha` over `items` items. None where there is nothing to go by.
    """
    if not items or gap <= 0:
        return None
    critical = NormalDist().inv_cdf(1 - alpha / 2)
    widths = (1 + NormalDist().inv_cdf(power) / critical) * half_width / gap
    needed = max(items * widths**2, items + 1)
    step = int(10 ** max(0, math.floor(math.log10(needed)) - 1))  # two digits: it is an estimate
    return math.ceil(needed / step) * step


def gap_to_settle(difference: float, useful: float) -> float:
    """How far a difference has to be told from: from zero where it is useful, else from being useful."""
    return difference if difference >= useful else max(useful - difference, _CLOSEST * useful)


def gap_to_floor(mean: float, floor: float, useful: float) -> float:
    """How far a mean is from the floor; not less than a share of the useful effect."""
    return max(abs(mean - floor), _CLOSEST * useful)


def _least(chance: Callable[[float], float], power: float) -> int | None:
    """The fewest items with this power. An exact test's power goes up in small saw teeth: it holds from there on."""
    high = 8
    while chance(high) < power:
        high *= 2
        if high > _MOST_ITEMS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high


def _smallest(chance: Callable[[float], float], power: float) -> float | None:
    low, high = 0.0, 0.999
    if chance(high) < power:
        return None
    for _ in range(14):  # to a hundredth of a point
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high
