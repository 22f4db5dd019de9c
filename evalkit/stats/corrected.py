"""What people would have said, from a judge on all answers and people on some: prediction-powered inference.

The judge's mean is corrected by how far it was off where people labelled too. A judge may be kinder to one contender
than to the other, so each is corrected by labels of its own: a correction taken from one alone cancels out of the
difference and leaves the judge's favour in it.

With `f` the judge's values on all N items, `y` people's on the n of them that they labelled, and a weight w from 0 to
1, a contender's mean is `w mean(f) + mean over labelled of (y - w f)`, whatever w is, and w is chosen to make the
variance least (0: people alone; 1: full trust in the judge's spread). Items are paired and may share clusters, so the
variance is that of the sum over clusters of what each item moves the estimate by.

Source: Angelopoulos et al. 2023 (Science 382:669), prediction-powered inference; Angelopoulos, Duchi & Zrnic 2023
(arXiv:2311.01453), the weight; Liang & Zeger 1986 (Biometrika 73:13), the variance over clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evalkit.stats.arrays import Floats
from evalkit.stats.interval import among, clopper_pearson, cluster_codes

# A contender's variance counts one more label, or cluster of labels, that contradicts the judge by the whole scale: few
# labels may happen to hold no contradiction at all. Without it, coverage falls to 90 % where few answers fail.
_UNSEEN_VARIANCE = 1.0
_FEWEST_LABELS = 2  # of a contender; a single one has no variance


@dataclass(frozen=True, slots=True)
class CorrectedEstimate:
    """The corrected estimate with its interval; `judged` is what the judge alone says.

    `error` is the estimate's standard error. `bias` is how much higher the judge is than people on what both graded
    (of a difference: how much kinder it is to the first contender). `weight` is the trust in the judge, `labels` counts
    each contender's, `missing` is the share of items without a judged value; the interval allows for the worst and the
    best that these could be.
    """

    estimate: float
    error: float
    low: float
    high: float
    judged: float
    bias: float
    bias_low: float
    bias_high: float
    weight: float
    labels: tuple[int, ...]
    missing: float


def corrected_mean(
    judged: Floats, labelled: Floats, clusters: Sequence[str] | None = None, alpha: float = 0.05
) -> CorrectedEstimate | None:
    """One contender's mean; arrays are aligned on items, NaN where there is no value. None with under two labels.

    Near 0 and 1 a symmetric interval misses on one side, so it reaches at least as far as Clopper and Pearson's would
    at the number of independent labels that would know the mean as well.
    """
    found = _corrected([(1.0, judged, labelled)], clusters, alpha)
    if found is None:
        return None
    mean, error = float(np.clip(found.estimate, 0, 1)), found.error
    size = mean * (1 - mean) / error**2 if 0 < mean < 1 else found.labels[0]
    low, high = clopper_pearson(mean * size, (1 - mean) * size, alpha)
    missing = found.missing
    return replace(found, low=max(0.0, min(found.low, low - missing)), high=min(1.0, max(found.high, high + missing)))


def corrected_difference(
    ours: tuple[Floats, Floats],
    theirs: tuple[Floats, Floats],
    clusters: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> CorrectedEstimate | None:
    """Ours minus theirs, each as (judged, labelled) aligned on items. None where either has under two labels."""
    return _corrected([(1.0, *ours), (-1.0, *theirs)], clusters, alpha)


def _corrected(
    terms: Sequence[tuple[float, Floats, Floats]], clusters: Sequence[str] | None, alpha: float
) -> CorrectedEstimate | None:
    paired = ~np.isnan(np.sum([judged for _, judged, _ in terms], axis=0))
    missing = float(1 - paired.mean()) if paired.size else 1.0
    codes = cluster_codes(among(clusters, paired), int(paired.sum()))
    # How far each item moves people's means on the labelled items, and the judge's means on all less those on them.
    by_people, by_judge, by_bias = np.zeros((3, int(paired.sum())))
    people = judged_all = judged_labelled = extra = 0.0
    counts, groups = [], []
    for sign, judged, labelled in terms:
        f, y = judged[paired], labelled[paired]
        has = ~np.isnan(y)
        n = int(has.sum())
        if n < _FEWEST_LABELS:
            return None
        counts.append(n)
        groups.append(n if codes is None else len(np.unique(codes[has])))
        people += sign * float(y[has].mean())
        judged_all += sign * float(f.mean())
        judged_labelled += sign * float(f[has].mean())
        extra += _UNSEEN_VARIANCE / groups[-1] ** 2
        by_people[has] += sign * (y[has] - y[has].mean()) / n
        by_judge += sign * (f - f.mean()) / f.size
        by_judge[has] -= sign * (f[has] - f[has].mean()) / n
        off = f[has] - y[has]
        by_bias[has] += sign * (off - off.mean()) / n
    parts = [_sums(part, codes) for part in (by_people, by_judge, by_bias)]
    spread = float((parts[1] ** 2).sum())
    weight = float(np.clip(-(parts[0] * parts[1]).sum() / spread, 0, 1)) if spread else 1.0
    critical = float(special.stdtrit(max(1, min(groups) - 1), 1 - alpha / 2))
    error = _error(parts[0] + weight * parts[1], extra)
    half = critical * error
    bias_half = critical * _error(parts[2], extra)
    estimate = people + weight * (judged_all - judged_labelled)
    bias = judged_labelled - people
    floor = -1.0 if len(terms) > 1 else 0.0
    return CorrectedEstimate(
        estimate=estimate,
        error=error,
        low=max(floor, estimate - half - missing),
        high=min(1.0, estimate + half + missing),
        judged=judged_all,
        bias=bias,
        bias_low=bias - bias_half,
        bias_high=bias + bias_half,
        weight=weight,
        labels=tuple(counts),
        missing=missing,
    )


def _sums(values: Floats, codes: NDArray[np.intp] | None) -> Floats:
    return values if codes is None else np.asarray(np.bincount(codes, weights=values), dtype=np.float64)


def _error(moves: Floats, extra: float) -> float:
    """The standard error of an estimate that each cluster moves by so much."""
    count = moves.size
    return float(np.sqrt(count / max(1, count - 1) * (moves**2).sum() + extra))
