"""Where things stand in the report's two charts, in percent of their width.

The templates draw them as inline SVG with lengths in percent: they stretch with the page, take its colours in light and
dark, and their labels are text that can be selected, searched and read aloud.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.results.economics import Costs
from evalkit.results.result_record import ResultRecord
from evalkit.stats.compare import Comparison
from evalkit.stats.in_words import p_value, percent, points, span

# A tick at most this often across a chart keeps its labels apart on a phone.
_MOST_TICKS = 5
_NAME_WIDTH, _NAME_HEIGHT = 40, 8  # of a name in the picture of quality against cost, in percent of it
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
    metric: str
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


def bars(result: ResultRecord) -> tuple[Bar, ...]:
    """A bar for each contender, cheapest first, on an axis from 0 to 100 %."""
    found = []
    for contender in result.contenders:
        metric = contender.metrics[result.primary]
        mean = metric.mean or 0.0
        found.append(
            Bar(
                name=contender.name,
                rung=contender.rung,
                description=contender.description,
                mean=_place(mean, 0, 1),
                low=_place(metric.low, 0, 1),
                high=_place(metric.high, 0, 1),
                value=percent(mean) if metric.mean is not None else "unscored",
                interval=f"{percent(metric.low)} to {percent(metric.high)}",
            )
        )
    return tuple(found)


def forest(result: ResultRecord) -> Forest:
    """The differences, those that the ladder's steps rest on first, then by contender from the costliest down."""
    rungs = {contender.name: contender.rung for contender in result.contenders}
    steps = {(step.contender, step.against) for step in result.ladder.steps}
    useful = result.terms.useful_effect
    costliest_first = result.comparisons[::-1]
    comparisons = sorted(costliest_first, key=lambda pair: not _is_step(pair, steps, result))
    left, right, ticks = _axis([useful, *(value for pair in comparisons for value in (pair.low, pair.high))])
    rows = tuple(
        Whisker(
            a=pair.a,
            b=pair.b,
            metric="" if pair.metric == result.primary else pair.metric,
            rung=rungs[pair.a],
            at=_place(pair.difference, left, right),
            low=_place(pair.low, left, right),
            high=_place(pair.high, left, right),
            value=points(pair.difference),
            interval=span(pair.low, pair.high),
            p=p_value(pair.p_adjusted),
            fixed=pair.fixed,
            broke=pair.broke,
            is_step=_is_step(pair, steps, result),
        )
        for pair in comparisons
    )
    return Forest(rows, ticks, zero=_place(0, left, right), useful=_place(useful, left, right))


def _is_step(pair: Comparison, steps: set[tuple[str, str | None]], result: ResultRecord) -> bool:
    return (pair.a, pair.b) in steps and pair.metric == result.primary


@dataclass(frozen=True, slots=True)
class Spot:
    """One contender in the picture of quality against cost: `x` from cheap to dear, `y` from the top."""

    name: str
    rung: str
    x: float
    y: float
    low: float
    high: float
    cost: str
    value: str
    left: bool
    """Whether its name stands left of it, since there is no room to the right."""
    name_y: float
    """Where its name stands, clear of the others' names."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Quality against cost of a request, on a scale that doubles by equal steps."""

    spots: tuple[Spot, ...]
    ticks: tuple[Tick, ...]
    unit: str


def picture(result: ResultRecord) -> Picture | None:
    """Each contender by what a request costs (tokens, where there are no prices); None where neither is known."""
    made = result.economics
    if not made:
        return None
    priced = all(one.cost_per_1000 is not None for one in made.contenders)
    costs = {one.name: one.cost_per_1000 or 0.0 if priced else _tokens(one) for one in made.contenders}
    shown = [
        one for one in result.contenders
        if costs.get(one.name) and one.metrics[result.primary].mean is not None
    ]  # fmt: skip
    if len(shown) < 2:
        return None
    logs = [math.log2(costs[one.name]) for one in shown]
    first, last = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)
    step = max(1, math.ceil((last - first) / _MOST_TICKS))
    unit = f"{made.currency} per 1,000 requests" if priced else "tokens a request, prompt and answer"
    spots: list[Spot] = []
    for one, log in zip(shown, logs, strict=True):
        metric = one.metrics[result.primary]
        x = _place(log, first, last)
        y, low, high = (round(100 - 100 * value, 2) for value in (metric.mean or 0.0, metric.low, metric.high))
        cost = f"{costs[one.name]:.3g}" if priced else f"{costs[one.name]:,.0f}"
        beside = [spot.name_y for spot in spots if abs(spot.x - x) < _NAME_WIDTH]
        spots.append(
            Spot(one.name, one.rung, x, y, low, high, cost, percent(metric.mean or 0.0), x > 60, _clear(y, beside))
        )
    ticks = tuple(
        Tick(_place(mark, first, last), f"{2.0**mark:,.0f}" if mark > 3 else f"{2.0**mark:.2g}")
        for mark in range(first, last + 1, step)
    )
    return Picture(tuple(spots), ticks, unit)


def _clear(y: float, taken: Sequence[float]) -> float:
    """The place nearest above `y` that no name beside it takes."""
    while any(abs(y - other) < _NAME_HEIGHT for other in taken):
        y -= 1
    return round(y, 2)


def _tokens(one: Costs) -> float:
    return (one.prompt_tokens_each or 0.0) + (one.completion_tokens_each or 0.0)


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
