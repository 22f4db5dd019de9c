"""A loss curve as text and as a picture."""

import math
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = " ▁▂▃▄▅▆▇█"
_STEPS = len(_BLOCKS) - 1
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 320, 52, 16, 34, 36  # of the picture, and its margins
_STYLE = """
  svg { background: #fff; color: #1a1a1a; font: 12px system-ui, sans-serif }
  text { fill: currentColor } .grid { stroke: currentColor; opacity: .15 }
  .train { stroke: #7aa6d8; fill: none } .held { stroke: #c2410c; fill: none; stroke-width: 2 } .dot { fill: #c2410c }
  .kept { stroke: currentColor; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { svg { background: #16181c; color: #e6e6e6 } }
"""


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


def picture(train: Sequence[float], held_out: Sequence[tuple[int, float]], kept: int | None = None) -> str:
    """The losses as an SVG picture: a line for the training's, points for the held-out ones, a ring around `kept`.

    `train[i]` is the loss of step i + 1; `held_out` are (steps done, loss). It follows light and dark mode.
    """
    top = max([*train, *(loss for _, loss in held_out), 1e-9])
    steps = max([len(train), *(step for step, _ in held_out), 1])

    def place(step: float, loss: float) -> tuple[float, float]:
        x = _LEFT + step / steps * (_WIDTH - _LEFT - _RIGHT)
        return x, _HEIGHT - _BOTTOM - loss / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>Loss in nats per answer token over {len(train)} steps</title><style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="18">nats per answer token: training (line), held-out rows (points, ring: kept)</text>',
    ]
    for loss in _ticks(top):
        x, y = place(0, loss)
        parts.append(f'<path class="grid" d="M{x:.1f} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{loss:g}</text>')
    for step in _ticks(steps, whole=True):
        x, _ = place(step, 0)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{step:g}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">steps</text>')
    for name, values in (("train", list(enumerate(train, start=1))), ("held", list(held_out))):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(step, loss) for step, loss in values))
        parts.append(f'<polyline class="{name}" points="{points}"/>')
    for step, loss in held_out:
        x, y = place(step, loss)
        mark = "dot kept" if step == kept else "dot"
        parts.append(
            f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{step}: {loss:.4f}</title></circle>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _ticks(top: float, *, whole: bool = False) -> list[float]:
    """ParallelRound numbers from 0 to `top`, about five of them."""
    size = 10.0 ** math.floor(math.log10(top / 4))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * 4 >= top * 0.8)
    step = max(1.0, round(step)) if whole else step
    return [round(step * i, 12) for i in range(math.floor(top / step) + 1)]
