"""Tests raise false alarms as rarely as they say, find what is there, and agree with the reference libraries."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evalkit.stats.significance import _fair_coins, holm, sign_flip_p


@pytest.mark.parametrize(("gained", "lost"), [(20, 9), (59, 7), (1, 0), (5, 5), (0, 12)])
def test_independent_binary_items_get_the_exact_mcnemar_test(gained: int, lost: int) -> None:
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * 30
    assert sign_flip_p(differences) == pytest.approx(mcnemar([[15, gained], [lost, 15]], exact=True).pvalue)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000, 20_001])
def test_fair_coins_fall_as_the_binomial_says(count: int) -> None:
    found = _fair_coins(count)
    expected = stats.binom.pmf(np.arange(count + 1), count, 0.5)
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-290)


def test_clusters_are_flipped_whole_and_exactly() -> None:
    """Against every one of the 2^10 sign patterns, counted the slow way."""
    differences = np.array([1, 1, 1, 0, 1, -1, 1, 1, 0, 1, -1, -1, 1, 1, 1, 1, 0, 1, 1, 1], dtype=float)
    clusters = [str(index // 2) for index in range(20)]
    totals = differences.reshape(10, 2).sum(axis=1)
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 10)).reshape(10, -1)
    sums = np.abs(totals @ patterns)
    assert sign_flip_p(differences, clusters) == pytest.approx(float((sums >= abs(totals.sum())).mean()))


def test_graded_scores_get_scipys_permutation_test_where_every_pattern_is_tried() -> None:
    random = np.random.default_rng(5)
    samples = [random.normal(0.2, 0.4, size) for size in (2, 3, 8, 14)]
    for differences in [np.array([0.5, 0.2, -0.1, 0.4, 0.3, 0.6, -0.2, 0.7]), *samples]:
        every_pattern = stats.permutation_test(
            (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
        )
        assert sign_flip_p(differences) == pytest.approx(every_pattern.pvalue)


@pytest.mark.parametrize(("size", "shift"), [(15, 0.2), (60, 0.1), (400, 0.03), (400, 0.0)])
def test_resampled_p_values_are_those_of_scipy_but_for_chance(size: int, shift: float) -> None:
    differences = np.random.default_rng(size).normal(shift, 0.3, size)
    expected = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=19_999, rng=np.random.default_rng(1)
    ).pvalue
    # Each is a share of 19,999 draws: four standard errors of their difference.
    assert sign_flip_p(differences) == pytest.approx(expected, abs=4 * (2 * expected * (1 - expected) / 19_999) ** 0.5)


def test_one_graded_item_that_differs_is_no_evidence() -> None:
    assert sign_flip_p([0.5, 0.0, 0.0]) == 1.0
    assert sign_flip_p([0.3, 0.2, 0.0, 0.0], ["a", "a", "b", "b"]) == 1.0


def test_sums_that_are_equal_but_for_rounding_count_as_equal() -> None:
    """Tenths, whose sums depend on the order of adding, give the p of the same figures as whole numbers."""
    random = np.random.default_rng(8)
    for size in (10, 50, 3000):
        whole = random.integers(-3, 4, size)
        assert sign_flip_p(whole / 10) == sign_flip_p(whole * 0.25), size


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_p(np.zeros(50)) == 1.0
    assert sign_flip_p([]) == 1.0


def test_resampling_depends_on_the_seed_alone() -> None:
    differences = np.random.default_rng(1).normal(0.05, 0.3, 60).clip(-1, 1)
    assert sign_flip_p(differences, seed=4) == sign_flip_p(differences, seed=4)
    assert sign_flip_p(differences, seed=4) != sign_flip_p(differences, seed=5)


def _alarms(gain: float, loss: float, clustered: bool, runs: int = 800) -> float:
    """The share of runs over 118 items in which p is at most 0.05."""
    random = np.random.default_rng(9)
    alarms = 0
    for _ in range(runs):
        if clustered:  # items of a cluster change together
            differences = np.repeat(random.choice([1.0, -1.0, 0.0], 59, p=[gain, loss, 1 - gain - loss]), 2)
            clusters = [str(index // 2) for index in range(118)]
        else:
            differences = random.choice([1.0, -1.0, 0.0], 118, p=[gain, loss, 1 - gain - loss])
            clusters = None
        alarms += sign_flip_p(differences, clusters) <= 0.05
    return alarms / runs


@pytest.mark.parametrize("clustered", [False, True])
def test_binary_false_alarms_are_rare_and_real_differences_found(clustered: bool) -> None:
    assert _alarms(0.1, 0.1, clustered) <= 0.05 + 2 * (0.05 * 0.95 / 800) ** 0.5
    assert _alarms(0.46, 0.02, clustered) >= 0.99


def test_ignoring_clusters_would_raise_false_alarms() -> None:
    random = np.random.default_rng(9)
    samples = [np.repeat(random.choice([1.0, -1.0, 0.0], 59, p=[0.2, 0.2, 0.6]), 2) for _ in range(400)]
    assert np.mean([sign_flip_p(sample) <= 0.05 for sample in samples]) > 0.08


def test_graded_false_alarms_are_rare_and_real_differences_found() -> None:
    random = np.random.default_rng(2)
    chance = [sign_flip_p(random.beta(2, 1, 30) - random.beta(2, 1, 30), seed=run) <= 0.05 for run in range(100)]
    real = [sign_flip_p(random.beta(2, 1, 50) - random.beta(1, 1, 50), seed=run) <= 0.05 for run in range(20)]
    assert np.mean(chance) <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5
    assert np.mean(real) >= 0.7


@pytest.mark.parametrize("count", [1, 2, 6, 15])
def test_holm_agrees_with_statsmodels(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(10):
        p_values = random.beta(0.3, 1, count).round(2)  # rounded, so that some are equal
        assert holm(list(p_values)) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_holm_keeps_false_alarms_over_a_whole_family_rare() -> None:
    random = np.random.default_rng(3)
    families = random.random((4000, 6))
    assert np.mean([min(holm(list(family))) <= 0.05 for family in families]) <= 0.06
