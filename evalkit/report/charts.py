"""Where things stand in the report's two charts, in percent of their width.

The templates draw them as inline SVG with lengths in percent: they stretch with the page, take its colours in light and
dark, and their labels are text that can be selected, searched and read aloud.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.wording import p_value, percent, points, span

# A tick at most this often across a chart keeps its labels apart on a phone.
_MOST_TICKS = 5
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender's mean with its interval."""

    name: str
    rung: str
    description: str
    mean: float
    low: float
    high: float
    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class Whisker:
    """One comparison: a point with its interval, and whether the ladder's steps rest on it."""

    a: str
    b: str
    rung: str
    at: float
    low: float
    high: float
    value: str
    interval: str
    p: str
    fixed: int
    broke: int
    is_step: bool


@dataclass(frozen=True, slots=True)
class Forest:
    """All comparisons on one axis, with the positions of no difference and of the useful effect."""

    rows: tuple[Whisker, ...]
    ticks: tuple[Tick, ...]
    zero: float
    useful: float


def bars(result: Mapping[str, Any]) -> tuple[Bar, ...]:
    """A bar for each contender, cheapest first, on an axis from 0 to 100 %."""
    found = []
    for contender in result["contenders"]:
        metric = contender["metrics"][result["primary"]]
        scored = metric["mean"] is not None
        mean = metric["mean"] if scored else 0.0
        found.append(
            Bar(
                name=contender["name"],
                rung=contender["rung"],
                description=contender["description"],
                mean=_place(mean, 0, 1),
                low=_place(metric["low"], 0, 1),
                high=_place(metric["high"], 0, 1),
                value=percent(mean) if scored else "unscored",
                interval=f"{percent(metric['low'])} to {percent(metric['high'])}",
            )
        )
    return tuple(found)


def forest(result: Mapping[str, Any]) -> Forest:
    """The differences, those that the ladder's steps rest on first, then by contender from the costliest down."""
    rungs = {contender["name"]: contender["rung"] for contender in result["contenders"]}
    steps = {(step["contender"], step["against"]) for step in result["ladder"]["steps"]}
    useful = result["suite"]["useful_effect"]
    costliest_first = result["comparisons"][::-1]
    comparisons = sorted(costliest_first, key=lambda pair: (pair["a"], pair["b"]) not in steps)
    left, right, ticks = _axis([useful, *(value for pair in comparisons for value in (pair["low"], pair["high"]))])
    rows = tuple(
        Whisker(
            a=pair["a"],
            b=pair["b"],
            rung=rungs[pair["a"]],
            at=_place(pair["difference"], left, right),
            low=_place(pair["low"], left, right),
            high=_place(pair["high"], left, right),
            value=points(pair["difference"]),
            interval=span(pair["low"], pair["high"]),
            p=p_value(pair["p_adjusted"]),
            fixed=pair["fixed"],
            broke=pair["broke"],
            is_step=(pair["a"], pair["b"]) in steps,
        )
        for pair in comparisons
    )
    return Forest(rows, ticks, zero=_place(0, left, right), useful=_place(useful, left, right))


def _axis(values: Sequence[float]) -> tuple[float, float, tuple[Tick, ...]]:
    """Round ends that hold zero and every value, and the ticks between them."""
    low, high = min(0.0, *values), max(0.0, *values)
    step = next((size for size in _STEPS if (high - low) / size <= _MOST_TICKS), 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    left, right = first * step, max(last, first + 1) * step
    marks = [number * step for number in range(first, max(last, first + 1) + 1)]
    return left, right, tuple(Tick(_place(mark, left, right), points(mark)) for mark in marks)


def _place(value: float, left: float, right: float) -> float:
    """The position of `value` between `left` and `right`, in percent with two decimals."""
    return round(100 * (min(max(value, left), right) - left) / (right - left), 2)
