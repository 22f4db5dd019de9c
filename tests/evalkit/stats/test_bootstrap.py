"""The bootstrap over clusters: its standard error is the cluster-robust one, and it covers what it says."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from evalkit.stats.bootstrap import FEWEST_THAT_DIFFER, bootstrap_interval, standard_error
from evalkit.stats.interval import difference_interval, mean_interval


def test_its_standard_error_is_statsmodels_cluster_robust_one() -> None:
    random = np.random.default_rng(1)
    codes = random.integers(0, 25, 120)
    codes = np.unique(codes, return_inverse=True)[1]
    values = random.normal(size=120) + random.normal(size=codes.max() + 1)[codes]
    fit = sm.OLS(values, np.ones((120, 1))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    ours = standard_error(np.bincount(codes, weights=values)[None], np.bincount(codes).astype(float)[None])
    assert ours[0] == pytest.approx(float(fit.bse[0]))


def test_on_a_normal_sample_it_is_the_t_interval() -> None:
    values = np.random.default_rng(2).normal(0.5, 0.1, 200)
    found = bootstrap_interval(values, None, 0.05)
    expected = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert found is not None
    assert found == pytest.approx(expected, abs=0.1 * stats.sem(values))


def test_a_skewed_sample_gets_a_skewed_interval() -> None:
    values = np.random.default_rng(3).lognormal(-3, 1, 60).clip(0, 1)
    found = mean_interval(values)
    assert found.method == "bootstrap over clusters"
    assert found.high - found.estimate > 1.2 * (found.estimate - found.low)


def test_where_few_differ_it_stands_back() -> None:
    values = np.zeros(100)
    values[: FEWEST_THAT_DIFFER - 1] = 0.5
    assert bootstrap_interval(values, None, 0.05) is None
    assert difference_interval(values).method == "Tango score interval at the effective size"
    values[:FEWEST_THAT_DIFFER] = 0.5
    assert bootstrap_interval(values, None, 0.05) is not None


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(4).random(80)
    assert bootstrap_interval(values, None, 0.05) == bootstrap_interval(values, None, 0.05)


def test_many_clusters_are_dealt_into_groups_without_a_change_of_width() -> None:
    values = np.random.default_rng(5).random(20_000)
    found = bootstrap_interval(values, None, 0.05)
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * stats.sem(values), rel=0.1)


@pytest.mark.parametrize("count", [40, 120])
def test_clusters_of_many_sizes_are_covered(count: int) -> None:
    random = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        sizes = random.integers(1, 8, count)
        rates = random.beta(0.5, 0.5, count)
        codes = np.repeat(np.arange(count), sizes)
        values = (random.random(codes.size) < rates[codes]).astype(float)
        found = mean_interval(values, [str(code) for code in codes])
        covered += found.low <= 0.5 <= found.high
    assert covered / 300 >= 0.95 - 2 * (0.05 * 0.95 / 300) ** 0.5
