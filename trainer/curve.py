"""A loss curve as text."""

from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = " ▁▂▃▄▅▆▇█"
_STEPS = len(_BLOCKS) - 1


def curve(values: Sequence[float], width: int = 60, height: int = 8) -> list[str]:
    """The values as `height` lines of block characters from 0 up, each column a mean of neighbouring values.

    The first line carries the highest column's value, the last one zero.
    """
    if not values:
        return []
    columns = min(width, len(values))
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max(means) or 1.0
    lines = []
    for line in range(height, 0, -1):
        filled = [round((mean / top * height - (line - 1)) * _STEPS) for mean in means]
        cells = "".join(_BLOCKS[max(0, min(_STEPS, level))] for level in filled)
        label = f"{top:7.3f}" if line == height else f"{0:7.3f}" if line == 1 else " " * 7
        lines.append(f"{label} {cells}".rstrip())
    return lines
