"""Two contenders on the same items: the difference on one metric, what it could be, and whether it could be chance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from curate.core.seeding import stable_seed
from evalkit.stats.arrays import Floats
from evalkit.stats.interval import among, difference_interval, is_binary
from evalkit.stats.significance import holm, sign_flip_p


class Comparison(msgspec.Struct, frozen=True):
    """`a` minus `b` on `metric`, over the `n` items that both have a score for; `left_out` items have not.

    `fixed` items score higher under `a`, `broke` items lower. `worst` and `best` are the difference if every missing
    score were the least and the most favourable to `a`. `p_adjusted` is adjusted (Holm) over the declared family; where
    `declared` is False, the comparison was not in it, and is adjusted over all that were made.
    """

    a: str
    b: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    n: int
    method: str
    fixed: int
    broke: int
    left_out: int
    worst: float
    best: float
    declared: bool = True


Claim = tuple[str, str, str]
"""A comparison that was declared before the run: `a`, `b`, metric."""


@dataclass(frozen=True, slots=True)
class ComparisonTerms:
    """What every comparison of a suite shares."""

    metric: str
    alpha: float
    seed: int
    clusters: Sequence[str] | None
    """One name per item; None where items are independent."""


def compare_all(
    values: Mapping[str, Floats], pairs: Sequence[tuple[str, str]], level: ComparisonTerms
) -> list[Comparison]:
    """Every pair compared, a minus b; p-values are adjusted over these pairs (Holm).

    Args:
        values: each contender's scores, one for each item, NaN where unscored.
        pairs: names of contenders (a, b).
        level: what all comparisons share.
    """
    found = [_compare(values, a, b, level) for a, b in pairs]
    adjusted = holm([comparison.p for comparison in found])
    return [msgspec.structs.replace(comparison, p_adjusted=p) for comparison, p in zip(found, adjusted, strict=True)]


def adjust_over(comparisons: Sequence[Comparison], family: Collection[Claim]) -> list[Comparison]:
    """The comparisons, those of the family adjusted over it, the others over all of them and marked as not declared."""
    declared = [(one.a, one.b, one.metric) in family for one in comparisons]
    inside = iter(holm([one.p for one, is_in in zip(comparisons, declared, strict=True) if is_in]))
    over_all = holm([one.p for one in comparisons])
    return [
        msgspec.structs.replace(one, p_adjusted=next(inside) if is_in else p, declared=is_in)
        for one, is_in, p in zip(comparisons, declared, over_all, strict=True)
    ]


def _compare(values: Mapping[str, Floats], a: str, b: str, level: ComparisonTerms) -> Comparison:
    all_differences = values[a] - values[b]
    paired = ~np.isnan(all_differences)
    differences = all_differences[paired]
    clusters = among(level.clusters, paired)
    count = int(paired.sum())
    interval = difference_interval(differences, clusters, level.alpha)
    p = sign_flip_p(differences, clusters, stable_seed(level.seed, f"{a}-{b}")) if count else 1.0
    least = np.nan_to_num(values[a], nan=0.0) - np.nan_to_num(values[b], nan=1.0)
    most = np.nan_to_num(values[a], nan=1.0) - np.nan_to_num(values[b], nan=0.0)
    return Comparison(
        a=a,
        b=b,
        metric=level.metric,
        difference=interval.estimate if count else 0.0,
        low=interval.low,
        high=interval.high,
        p=p,
        p_adjusted=p,
        n=count,
        method=f"{interval.method}; {_test(differences, clusters)}",
        fixed=int((differences > 0).sum()),
        broke=int((differences < 0).sum()),
        left_out=int((~paired).sum()),
        worst=float(least.mean()) if least.size else -1.0,
        best=float(most.mean()) if most.size else 1.0,
    )


def _test(differences: Floats, clusters: Sequence[str] | None) -> str:
    groups = len(set(clusters)) if clusters is not None else differences.size
    clustered = groups < differences.size
    exact = "exact sign-flip test" if clustered else "exact McNemar test"
    test = exact if is_binary(differences) else "permutation test of signs"
    return test + (f"; {groups} clusters" if clustered else "")
