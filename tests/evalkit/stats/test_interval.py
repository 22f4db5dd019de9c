"""Intervals hold what they promise: coverage by enumeration or simulation; agreement with reference libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special, stats
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats.interval import difference_interval, mean_interval, tango_interval

Floats = NDArray[np.float64]


@pytest.mark.parametrize(("right", "count"), [(0, 118), (1, 50), (12, 118), (64, 118), (118, 118), (3, 3)])
def test_a_binary_mean_agrees_with_statsmodels_and_scipy(right: int, count: int) -> None:
    found = mean_interval([1.0] * right + [0.0] * (count - right))
    assert (found.low, found.high) == pytest.approx(proportion_confint(right, count, method="beta"), abs=1e-9)
    exact = stats.binomtest(right, count).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize("count", [50, 118])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.06, 0.1, 0.54, 0.9, 0.99, 1.0])
def test_a_binary_mean_never_covers_less_than_it_says(rate: float, count: int) -> None:
    """Exact: every outcome weighted by its chance."""
    chances = stats.binom.pmf(np.arange(count + 1), count, rate)
    found = [mean_interval([1.0] * right + [0.0] * (count - right)) for right in range(count + 1)]
    covered = [interval.low <= rate <= interval.high for interval in found]
    assert float(chances[covered].sum()) >= 0.95


def _score_by_optimisation(gained: int, lost: int, count: int, difference: float) -> float:
    """Tango's statistic with its restricted likelihood maximised numerically instead of in closed form."""

    def negative_likelihood(loss: float) -> float:
        shares = np.array([loss + difference, loss, 1 - 2 * loss - difference])
        return -float(special.xlogy([gained, lost, count - gained - lost], shares).sum())

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    loss = optimize.minimize_scalar(negative_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
    return (gained - lost - count * difference) / (count * (2 * loss + difference * (1 - difference))) ** 0.5


@pytest.mark.parametrize(("gained", "lost", "count"), [(1, 2, 44), (7, 0, 118), (59, 7, 118), (12, 7, 50), (40, 5, 50)])
def test_tango_inverts_the_score_test(gained: int, lost: int, count: int) -> None:
    low, high = tango_interval(gained, lost, count)
    assert _score_by_optimisation(gained, lost, count, float(low)) == pytest.approx(1.959964, abs=1e-4)
    assert _score_by_optimisation(gained, lost, count, float(high)) == pytest.approx(-1.959964, abs=1e-4)


@pytest.mark.parametrize("count", [30, 118])
def test_tango_without_any_change_has_a_closed_form(count: int) -> None:
    squared = stats.norm.ppf(0.975) ** 2
    low, high = tango_interval(0, 0, count)
    assert (float(low), float(high)) == pytest.approx((-squared / (count + squared), squared / (count + squared)))


@pytest.mark.parametrize("count", [50, 118])
@pytest.mark.parametrize(
    ("gain", "loss"),
    [(0, 0), (0.01, 0.01), (0.03, 0), (0.06, 0), (0.1, 0.05), (0.46, 0.02), (0.9, 0.05), (0.99, 0), (0.3, 0.3)],
)
def test_a_binary_difference_covers_what_it_says(gain: float, loss: float, count: int) -> None:
    """Exact, as above. A score interval is right on average and a little under at single points."""
    up, down = (grid.ravel() for grid in np.meshgrid(np.arange(count + 1), np.arange(count + 1)))
    up, down = up[up + down <= count], down[up + down <= count]
    low, high = tango_interval(up, down, count)
    chances = stats.multinomial.pmf(np.stack([up, down, count - up - down], 1), count, [gain, loss, 1 - gain - loss])
    covered = (low <= gain - loss + 1e-9) & (gain - loss - 1e-9 <= high)
    # 0.905: with 50 items and a gain of 99 %, three outcomes hold nearly all the chance, and one of them misses.
    assert float(chances[covered].sum()) >= (0.905 if (gain, count) == (0.99, 50) else 0.94)


def _graded_differences(kind: str, count: int, random: np.random.Generator) -> tuple[Floats, float]:
    """Differences of one sample, and their true mean."""
    if kind == "few lose a little":
        return -1.0 * (random.random(count) < 0.05) * random.random(count), -0.025
    if kind == "few gain little or all":
        return (random.random(count) < 0.03) * random.choice([0.2, 1.0], count), 0.018
    if kind == "dense":
        return random.beta(2, 1, count) - random.beta(1, 2, count), 1 / 3
    steps = np.array([0, 0.5, 2 / 3, 1])
    ours, theirs = [0.1, 0.1, 0.1, 0.7], [0.2, 0.1, 0.2, 0.5]
    sample = random.choice(steps, count, p=ours) - random.choice(steps, count, p=theirs)
    return sample, float(steps @ ours - steps @ theirs)


@pytest.mark.parametrize("count", [50, 118])
@pytest.mark.parametrize("kind", ["few lose a little", "few gain little or all", "dense", "token F1"])
def test_a_graded_difference_covers_what_it_says(kind: str, count: int) -> None:
    random = np.random.default_rng(11)
    covered = 0
    for _ in range(600):
        sample, truth = _graded_differences(kind, count, random)
        found = difference_interval(sample)
        covered += found.low <= truth <= found.high
    assert covered / 600 >= 0.93  # 0.95 less two standard errors of 600 draws


def _cluster_scores(
    rate: float, spread: float, sizes: list[int], random: np.random.Generator
) -> tuple[Floats, list[str]]:
    """Binary scores whose rate differs from cluster to cluster; smaller `spread` means more alike within one."""
    rates = random.beta(rate * spread, (1 - rate) * spread, len(sizes))
    scores = np.concatenate([random.random(size) < one for size, one in zip(sizes, rates, strict=True)])
    return scores.astype(float), [str(index) for index, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_clusters_widen_a_mean_until_it_covers(rate: float) -> None:
    random = np.random.default_rng(5)
    sizes = [4] * 30
    covered = naive = 0
    for _ in range(600):
        scores, clusters = _cluster_scores(rate, 1.0, sizes, random)
        found, blind = mean_interval(scores, clusters), mean_interval(scores)
        covered += found.low <= rate <= found.high
        naive += blind.low <= rate <= blind.high
    assert covered / 600 >= 0.93
    assert naive < covered  # and an interval that is blind to them does not


def test_clusters_widen_a_difference_until_it_covers() -> None:
    random = np.random.default_rng(6)
    covered = naive = 0
    for _ in range(600):
        ours, clusters = _cluster_scores(0.5, 1.0, [4] * 30, random)
        theirs, _ = _cluster_scores(0.3, 1.0, [4] * 30, random)
        found, blind = difference_interval(ours - theirs, clusters), difference_interval(ours - theirs)
        covered += found.low <= 0.2 <= found.high
        naive += blind.low <= 0.2 <= blind.high
    assert covered / 600 >= 0.93
    assert naive / 600 < 0.9


def test_clusters_of_one_change_nothing() -> None:
    scores = [1.0, 0.0, 0.0, 1.0, 1.0]
    assert mean_interval(scores, list("abcde")) == mean_interval(scores)


def test_items_that_repeat_one_another_count_once() -> None:
    """Ten copies of each item know no more than the items do, and a little less for having to find that out."""
    scores = np.array([1.0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1])
    once = mean_interval(scores)
    tenfold = mean_interval(np.repeat(scores, 10), [str(index) for index in range(12) for _ in range(10)])
    assert tenfold.size <= once.size
    assert tenfold.low <= once.low
    assert once.high <= tenfold.high


def test_without_values_anything_is_possible() -> None:
    assert mean_interval([])[1:3] == (0.0, 1.0)
    assert difference_interval([])[1:3] == (-1.0, 1.0)


scores_0_to_1 = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(scores_0_to_1, st.data())
def test_a_mean_lies_in_its_interval_and_the_interval_on_the_scale(values: list[float], data: st.DataObject) -> None:
    clusters = data.draw(st.none() | st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    found = mean_interval(values, clusters)
    assert 0 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1
    assert found.low < found.high


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_swapping_the_sides_mirrors_a_difference(pairs: list[tuple[float, float]]) -> None:
    changes = np.array([a - b for a, b in pairs])
    there, back = difference_interval(changes), difference_interval(-changes)
    assert -1 <= there.low <= there.estimate + 1e-9
    assert there.estimate - 1e-9 <= there.high <= 1
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-6)
