"""How long rows are, and what so many rows are good for."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

# How many rows a task takes, from the smallest to the largest: kind of task -> (at least, enough).
TASK_ROWS: Mapping[str, tuple[int, int]] = {
    "a tone or a format": (50, 200),
    "a domain": (500, 2_000),
    "complex instructions": (1_000, 5_000),
}

_COUNTED = 1 << 16  # sizes that are counted at once


def lengths(values: "Sequence[int] | NDArray[np.int64]") -> dict[str, float]:
    """Smallest, median, 90th percentile, largest and mean; percentiles are values that occur. Zeros for no values."""
    ordered = np.sort(np.asarray(values if len(values) else [0], np.int64))
    last = ordered.size - 1
    return {
        "min": int(ordered[0]),
        "median": int(ordered[last // 2]),
        "p90": int(ordered[-(-last * 9 // 10)]),
        "max": int(ordered[-1]),
        "mean": round(int(ordered.sum()) / ordered.size, 1),
    }


def median(values: NDArray[np.int64]) -> int:
    """The median of at least one value, as `lengths` gives it."""
    middle = (values.size - 1) // 2
    return int(np.partition(values, middle)[middle])


def count_doublings(values: NDArray[np.int64]) -> Counter[int]:
    """How many of these sizes have how many bits."""
    counts: Counter[int] = Counter()
    for first in range(0, values.size, _COUNTED):
        bits = np.frexp(values[first : first + _COUNTED].astype(np.float64))[1]  # exact below 2^53
        counts.update({power: int(count) for power, count in enumerate(np.bincount(bits)) if count})
    return Counter(dict(sorted(counts.items())))


def advice(rows: int) -> list[str]:
    """For each kind of task whether so many different rows are too few, in range, or more than it usually takes."""
    found = []
    for task, (least, enough) in TASK_ROWS.items():
        if rows < least:
            word = f"too few: {least - rows} more to reach the usual {least:,} to {enough:,}"
        elif rows <= enough:
            word = f"in the usual range of {least:,} to {enough:,}"
        else:
            word = f"more than the usual {least:,} to {enough:,}: quality counts for more than further rows"
        found.append(f"{rows:,} different rows for {task}: {word}")
    return found
