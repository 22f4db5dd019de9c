"""p-values adjusted for asking more than once: Holm over a declared family, and a fixed order along the ladder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from evalkit.stats.compare import Comparison
from evalkit.stats.significance import holm

Claim = tuple[str, str, str]
"""A comparison that was declared before the run: `a`, `b`, metric."""


def adjust_over(comparisons: Sequence[Comparison], family: Collection[Claim]) -> list[Comparison]:
    """The comparisons, those of the family adjusted over it, the others over all of them and marked as not declared."""
    declared = [(one.a, one.b, one.metric) in family for one in comparisons]
    inside = iter(holm([one.p for one, is_in in zip(comparisons, declared, strict=True) if is_in]))
    over_all = holm([one.p for one in comparisons])
    return [
        replace(one, p_adjusted=next(inside) if is_in else p, declared=is_in)
        for one, is_in, p in zip(comparisons, declared, over_all, strict=True)
    ]


def climbing_p(names: Sequence[str], p: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The p of each contender (a) against each cheaper one (b), adjusted for climbing a ladder in a fixed order.

    From the cheapest rung up, each is asked whether anything costlier is better: Holm over the costlier ones. The next
    rung is asked only where the answer was yes, so that the whole climb goes one rung too far with a chance of at most
    alpha, and no rung pays for the questions that stand above it. `names` go from the cheapest to the costliest.

    Source: Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001 (J. Stat. Plan. Inference 99:25).
    """
    found: dict[tuple[str, str], float] = {}
    so_far = 0.0
    for place, cheaper in enumerate(names[:-1]):
        costlier = names[place + 1 :]
        adjusted = holm([p[name, cheaper] for name in costlier])
        found |= {(name, cheaper): max(one, so_far) for name, one in zip(costlier, adjusted, strict=True)}
        so_far = max(so_far, min(adjusted))
    return found
