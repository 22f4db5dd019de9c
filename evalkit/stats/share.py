"""What share one mean is of another, on the same items, with its interval: Fieller's, over clusters.

A share s is believable where the mean of `part - s * whole` may be zero. Its standard error is the cluster-robust one
and its distribution Student's, so the shares at the edge solve a quadratic equation.

Source: Fieller 1954 (J. R. Stat. Soc. B 16:175).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evalkit.stats.arrays import Floats
from evalkit.stats.interval import Range


def share_of(part: Floats, whole: Floats, codes: NDArray[np.intp] | None, alpha: float) -> Range | None:
    """The mean of `part` over that of `whole`, with its interval.

    Args:
        part, whole: a difference for each item, on the same items, none missing.
        codes: the number of each item's cluster, from 0; None where items are independent.

    Returns: None where the whole is not above zero by more than chance: a share of nothing, or of noise, says nothing.
    """
    units = np.arange(part.size) if codes is None else codes
    groups = int(units.max()) + 1 if part.size else 0
    if groups < 2:
        return None
    top, bottom = float(part.mean()), float(whole.mean())
    residuals = np.stack([np.bincount(units, weights=of - of.mean()) for of in (part, whole)]) / part.size
    (var_top, both), (_, var_bottom) = groups / (groups - 1) * residuals @ residuals.T
    squared = float(special.stdtrit(groups - 1, 1 - alpha / 2)) ** 2
    # a s^2 - 2 b s + c <= 0 holds for the believable shares; a > 0 says that the whole is not zero by chance.
    a, b, c = bottom**2 - squared * var_bottom, top * bottom - squared * both, top**2 - squared * var_top
    if bottom <= 0 or a <= 0:
        return None
    reach = math.sqrt(max(b * b - a * c, 0.0))
    return Range(top / bottom, (b - reach) / a, (b + reach) / a)
