"""Agreement figures equal the reference libraries' and the papers' worked examples; intervals hold what they say."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from evalkit.stats import agreement
from evalkit.stats.agreement import Statistic

Floats = NDArray[np.float64]


def _two(seed: int, levels: int = 3, count: int = 80) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    first = random.integers(0, levels, count)
    return first, np.where(random.random(count) < 0.3, random.integers(0, levels, count), first)


@pytest.mark.parametrize("levels", [2, 3, 5])
def test_kappas_are_those_of_sklearn_and_statsmodels(levels: int) -> None:
    first, second = _two(levels, levels)
    table = agreement.pair_tables(first, second, np.arange(80), levels).sum(0)
    assert float(agreement.cohen_kappa(table)) == pytest.approx(cohen_kappa_score(first, second))
    assert float(agreement.cohen_kappa(table)) == pytest.approx(cohens_kappa(table).kappa)
    assert float(agreement.quadratic_kappa(table)) == pytest.approx(
        cohen_kappa_score(first, second, weights="quadratic")
    )
    assert float(agreement.raw_agreement(table)) == pytest.approx(float((first == second).mean()))


def test_alpha_without_gaps_is_fleiss_kappa_but_for_the_small_sample_term() -> None:
    """Fleiss' expected agreement counts a rater against itself: alpha = 1 - (1 - kappa) (N m - 1) / (N m)."""
    random = np.random.default_rng(3)
    grades = random.integers(0, 3, (40, 1)).repeat(4, 1)
    grades = np.where(random.random((40, 4)) < 0.3, random.integers(0, 3, (40, 4)), grades)
    counts = np.stack([(grades == level).sum(1) for level in range(3)], 1)
    table = agreement.coincidences(grades.tolist(), range(40), 3).sum(0)
    assert float(agreement.nominal_alpha(table)) == pytest.approx(1 - (1 - fleiss_kappa(counts)) * 159 / 160)


def test_alpha_agrees_with_krippendorffs_own_example() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, gaps."""
    gap = 0
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    grades = [[value - 1 for value in unit if value] for unit in zip(*observers, strict=True)]
    table = agreement.coincidences(grades, range(12), 5).sum(0)
    assert float(agreement.nominal_alpha(table)) == pytest.approx(0.743, abs=5e-4)
    assert float(agreement.ordinal_alpha(table)) == pytest.approx(0.815, abs=5e-4)


def test_ac1_keeps_its_sense_where_kappa_loses_it() -> None:
    """Gwet 2008: 118 of 125 agree, all on the same grade; kappa is below zero, AC1 0.94."""
    table = np.array([[118.0, 5.0], [2.0, 0.0]])
    assert float(agreement.cohen_kappa(table)) == pytest.approx(-0.0234, abs=5e-5)
    assert float(agreement.gwet_ac1(table)) == pytest.approx(0.9408, abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("joint", "count"),
    [
        ([[0.4, 0.1], [0.1, 0.4]], 100),
        ([[0.3, 0.01], [0.01, 0.68]], 100),
        ([[0.15, 0.05], [0.15, 0.65]], 50),
        ([[0.2, 0.05, 0.02], [0.05, 0.3, 0.05], [0.01, 0.05, 0.27]], 100),
    ],
)
@pytest.mark.parametrize("statistic", [agreement.cohen_kappa, agreement.gwet_ac1, agreement.nominal_alpha])
def test_intervals_cover_what_they_say(statistic: Statistic, joint: list[list[float]], count: int) -> None:
    random = np.random.default_rng(1)
    chances = np.array(joint)
    symmetric = statistic is agreement.nominal_alpha
    truth = float(statistic((chances + chances.T if symmetric else chances) * 1e9))
    cells = np.eye(chances.size).reshape(-1, *chances.shape)
    covered = low_misses = 0
    for run in range(250):
        tables = cells.repeat(random.multinomial(count, chances.ravel()), axis=0)
        found = agreement.estimate(statistic, tables + tables.transpose(0, 2, 1) if symmetric else tables, seed=run)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
        low_misses += found.low > truth
    assert covered / 250 >= 0.92  # 0.95 less two standard errors of 250 runs
    assert low_misses / 250 <= 0.045  # the end that admits a judge: 0.025 and two standard errors


def test_answers_to_the_same_item_are_drawn_together() -> None:
    """Ten contenders' answers to an item that are graded alike know no more than one."""
    first, second = _two(5, 2, 60)
    once = agreement.pair_tables(first, second, np.arange(60), 2)
    tenfold = agreement.pair_tables(first.repeat(10), second.repeat(10), np.arange(60).repeat(10), 2)
    one, ten = (agreement.estimate(agreement.cohen_kappa, tables) for tables in (once, tenfold))
    assert ten.value == pytest.approx(one.value)
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    assert ten.n == 600


def test_perfect_agreement_on_few_answers_is_no_certainty() -> None:
    tables = agreement.pair_tables([0, 1, 0, 1, 1], [0, 1, 0, 1, 1], range(5), 2)
    found = agreement.estimate(agreement.cohen_kappa, tables)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert found.low < 0.5


def _call(function: Callable[[Floats], Floats], table: Floats) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(function(table))


def test_one_grade_alone_is_undefined_and_said() -> None:
    tables = agreement.pair_tables([1] * 9, [1] * 9, range(9), 2)
    assert np.isnan(_call(agreement.cohen_kappa, tables.sum(0)))
    found = agreement.estimate(agreement.cohen_kappa, tables)
    assert (found.value, found.low, found.n) == (None, None, 9)
    assert "only one grade" in str(found.note)
    assert agreement.estimate(agreement.raw_agreement, tables).value == 1.0


def test_without_pairs_there_is_nothing() -> None:
    assert agreement.estimate(agreement.cohen_kappa, agreement.pair_tables([], [], [], 2)).n == 0
