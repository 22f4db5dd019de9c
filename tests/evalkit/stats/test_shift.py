"""Two-sample intervals: against scipy and statsmodels, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from evalkit.stats.shift import at_most, beyond, share, share_difference, superiority

SAMPLES = st.lists(st.integers(0, 6), min_size=1, max_size=30)


@given(SAMPLES, SAMPLES)
def test_superiority_is_the_mann_whitney_statistic(new: list[int], old: list[int]) -> None:
    found = superiority(new, old)
    assert found.estimate == pytest.approx(stats.mannwhitneyu(new, old).statistic / (len(new) * len(old)))
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    mirrored = superiority(old, new)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-9)


def test_superiority_inverts_newcombes_score() -> None:
    """Method 5, solved by scipy's root finder from the published formula."""
    rng = np.random.default_rng(1)
    new, old = rng.normal(0.7, 1, 40), rng.normal(0, 1, 25)
    found = superiority(new, old)

    def gap(theta: float, sign: float) -> float:
        star = (40 + 25) / 2 - 1
        spread = theta * (1 - theta) * (1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta)) / (40 * 25)
        return found.estimate - theta - sign * 1.959963984540054 * spread**0.5

    assert found.low == pytest.approx(optimize.brentq(gap, 1e-9, found.estimate, args=(1,)), abs=1e-8)
    assert found.high == pytest.approx(optimize.brentq(gap, found.estimate, 1 - 1e-9, args=(-1,)), abs=1e-8)


@pytest.mark.parametrize(("m", "n"), [(40, 120), (300, 113)])
@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_superiority_covers_what_it_says(shift: float, m: int, n: int) -> None:
    rng = np.random.default_rng(7)
    truth = float(stats.norm.cdf(shift / 2**0.5))
    drawn = [superiority(rng.normal(shift, 1, m), rng.normal(0, 1, n)) for _ in range(600)]
    covered = np.mean([found.low <= truth <= found.high for found in drawn])
    assert covered >= 0.93  # 0.95 less 2 standard errors of 600 draws


def test_superiority_covers_where_values_tie() -> None:
    """Lengths in words tie often; the interval is then wider than it need be, never narrower."""
    rng = np.random.default_rng(3)
    rates = (2.0, 3.0)
    large = [stats.poisson(rate).pmf(np.arange(40)) for rate in rates]
    truth = float(sum(large[1][k] * (large[0][:k].sum() + large[0][k] / 2) for k in range(40)))
    drawn = [superiority(rng.poisson(3.0, 80), rng.poisson(2.0, 60)) for _ in range(600)]
    assert np.mean([found.low <= truth <= found.high for found in drawn]) >= 0.93


def test_superiority_of_samples_that_do_not_touch_has_a_width() -> None:
    found = superiority(np.arange(50) + 100, np.arange(50))
    assert found.estimate == found.high == 1
    assert 0.9 < found.low < 0.99


@given(st.integers(0, 40), st.integers(0, 30))
def test_a_difference_of_shares_agrees_with_statsmodels(a: int, b: int) -> None:
    found = share_difference((a, 40), (b, 30))
    low, high = confint_proportions_2indep(a, 40, b, 30, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("p", "q"), [(0.02, 0.02), (0.1, 0.05), (0.5, 0.3), (0.97, 0.9)])
def test_a_difference_of_shares_covers_what_it_says(p: float, q: float) -> None:
    """Exact: every pair of counts weighted by its chance."""
    m, n = 80, 50
    chances = np.outer(stats.binom.pmf(np.arange(m + 1), m, p), stats.binom.pmf(np.arange(n + 1), n, q))
    total = 0.0
    for a in range(m + 1):
        for b in range(n + 1):
            if chances[a, b] > 1e-9:
                found = share_difference((a, m), (b, n))
                total += chances[a, b] * (found.low <= p - q <= found.high)
    assert total >= 0.94


def test_a_share_is_clopper_pearsons() -> None:
    for count in (0, 3, 50, 100):
        found = share(count, 100)
        assert (found.low, found.high) == pytest.approx(proportion_confint(count, 100, method="beta"), abs=1e-9)


def test_nothing_of_a_hundred_is_at_most_three_percent() -> None:
    assert at_most(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert round(at_most(0, 100) * 100) == 3
    assert at_most(5, 5) == 1.0
    for count, size in ((0, 100), (2, 60), (17, 20)):
        exact = stats.binomtest(count, size, alternative="less").proportion_ci(0.95, method="exact")
        assert at_most(count, size) == pytest.approx(exact.high)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.1, 0.5])
def test_a_rate_is_above_its_upper_bound_at_most_so_often(rate: float) -> None:
    """Exact: the bound is one-sided and misses with a chance of at most alpha."""
    size = 100
    chances = stats.binom.pmf(np.arange(size + 1), size, rate)
    missed = [at_most(count, size) < rate for count in range(size + 1)]
    assert chances[missed].sum() <= 0.05


def test_what_lies_beyond_a_limit_is_as_expected_where_nothing_changed() -> None:
    """The limit comes from few old values: its own luck is in the expected interval, which must cover it."""
    rng = np.random.default_rng(11)
    expected = beyond(rng.normal(size=10), rng.normal(size=113), 0.05)[1]
    reference = stats.beta(6, 108)  # the 6th of 113
    assert (expected.low, expected.high) == pytest.approx((reference.ppf(0.025), reference.ppf(0.975)))
    truths = stats.norm.cdf(np.sort(rng.normal(size=(4000, 113)))[:, 5])
    assert np.mean((expected.low <= truths) & (truths <= expected.high)) == pytest.approx(0.95, abs=0.015)


def test_no_values_are_no_evidence() -> None:
    assert superiority([], [1.0])[1:] == (0.0, 1.0)
    assert share_difference((0, 0), (1, 2))[1:] == (-1.0, 1.0)
    assert share(0, 0)[1:] == (0.0, 1.0)
    assert beyond([], [1.0], 0.05)[0][1:] == (0.0, 1.0)
