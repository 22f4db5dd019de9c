"""Dividing whole numbers by weights, and choosing rows by a draw that depends on their content alone."""

import math
from collections.abc import Mapping
from fractions import Fraction

from curate.core.rows.row import content_id
from curate.core.seeding import stable_seed
from curate.table.selection import RowSelection


def largest_remainder(total: int, weights: Mapping[str, float | Fraction]) -> dict[str, int]:
    """`total` divided in proportion to `weights`: whole numbers that make exactly `total`.

    Each gets its share rounded down, then those with the largest remainders one more; ties go by name.
    Raises: ValueError where no weight is positive, or one is negative or not finite.
    Source: Hamilton's method, https://en.wikipedia.org/wiki/Quota_method
    """
    if any(not math.isfinite(weight) or weight < 0 for weight in weights.values()):
        raise ValueError("weights are finite and not negative")
    # Exact fractions: in floats, three equal weights can round to three different remainders.
    exact = {name: Fraction(weight) for name, weight in weights.items()}
    whole = sum(exact.values(), Fraction(0))
    if whole == 0:
        if total == 0:
            return dict.fromkeys(weights, 0)
        raise ValueError("no weight is positive")
    shares = {name: total * weight / whole for name, weight in exact.items()}
    parts = {name: math.floor(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (parts[name] - shares[name], name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def divide_within(total: int, weights: Mapping[str, float | Fraction], limits: Mapping[str, int]) -> dict[str, int]:
    """`total` divided in proportion to `weights`, none above its limit; what one can't take goes to the others.

    Where the limits make less than `total`, each gets its limit.
    """
    given: dict[str, int] = {}
    open_weights = {name: weight for name, weight in weights.items() if weight > 0}
    left = total
    while open_weights:
        parts = largest_remainder(left, open_weights)
        full = [name for name in parts if parts[name] >= limits[name]]
        if not full:
            given.update(parts)
            break
        for name in full:
            given[name] = limits[name]
            left -= limits[name]
            del open_weights[name]
    return {name: given.get(name, 0) for name in weights}


def draw_order(rows: RowSelection, seed: int, *, gold_first: bool = False) -> list[int]:
    """The positions of the rows in the order in which they are chosen.

    A row's place depends on the seed and its own content, so that adding rows leaves the others in the same order.
    """

    def key(position: int) -> tuple[bool, int, str, bytes]:
        given = rows[position]
        row = given.row
        draw = stable_seed(seed, content_id(row.messages, row.tools))
        return (gold_first and row.origin != "gold", draw, row.id, given.raw)

    return sorted(range(len(rows)), key=key)
