"""Plans keep their promise: the power they say is the power that simulated runs have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from evalkit.stats.power import (
    Assumed,
    binary_power,
    design_effect,
    gap_to_settle,
    graded_power,
    items_to_settle,
    plan_power,
)
from evalkit.stats.significance import sign_flip_p


def _found(gained: np.ndarray, lost: np.ndarray) -> float:
    """How often the exact McNemar test finds a difference, for many runs at once."""
    smaller = np.minimum(gained, lost)
    return float(np.mean(np.minimum(1, 2 * stats.binom.cdf(smaller, gained + lost, 0.5)) <= 0.05))


@pytest.mark.parametrize(
    ("items", "effect", "discordance"), [(118, 0.1, 0.3), (50, 0.3, 0.5), (400, 0.05, 0.1), (30, 0, 0.4)]
)
def test_power_of_binary_scores_is_what_simulated_runs_have(items: int, effect: float, discordance: float) -> None:
    random = np.random.default_rng(4)
    gain, loss = (discordance + effect) / 2, (discordance - effect) / 2
    gained, lost, _ = random.multinomial(items, [gain, loss, 1 - discordance], 20_000).T
    found = _found(gained, lost)
    expected = binary_power(items, effect, discordance)
    assert found == pytest.approx(expected, abs=3 * (0.25 / 20_000) ** 0.5)
    if effect == 0:
        assert expected <= 0.05


def test_the_simulated_test_is_the_one_in_use() -> None:
    differences = np.array([1.0] * 20 + [-1.0] * 9 + [0.0] * 30)
    assert sign_flip_p(differences) == pytest.approx(2 * stats.binom.cdf(9, 29, 0.5))


@pytest.mark.parametrize("items", [10, 50, 118])
@pytest.mark.parametrize("effect", [0.02, 0.1, 0.3])
def test_power_of_graded_scores_agrees_with_statsmodels(items: int, effect: float) -> None:
    assert graded_power(items, effect, 0.4) == pytest.approx(TTestPower().power(effect / 0.4, items, 0.05))


def test_a_permutation_test_finds_what_a_t_test_finds() -> None:
    random = np.random.default_rng(8)
    runs = [random.beta(3, 2, 40) - random.beta(2.2, 2, 40) for _ in range(60)]
    spread, effect = float(np.std(runs)), float(np.mean(runs))
    found = np.mean([sign_flip_p(run, seed=1) <= 0.05 for run in runs])
    assert found == pytest.approx(graded_power(40, effect, spread), abs=0.12)


def test_the_needed_items_have_the_power_and_fewer_have_not() -> None:
    for assumed in (Assumed(), Assumed(spread=0.4)):
        plan = plan_power(None, 60, effect=0.1, alpha=0.05, power=0.8, assumed=assumed)
        assert plan.needed is not None
        enough = plan_power(None, plan.needed, effect=0.1, alpha=0.05, power=0.8, assumed=assumed)
        assert enough.power >= 0.8 > plan.power
        short = plan_power(None, round(plan.needed * 0.9), effect=0.1, alpha=0.05, power=0.8, assumed=assumed)
        assert short.power < 0.8
        assert plan.detectable is not None
        larger = plan_power(None, 60, effect=plan.detectable, alpha=0.05, power=0.8, assumed=assumed)
        assert larger.power == pytest.approx(0.8, abs=0.02)


def test_items_of_a_cluster_count_less_the_more_alike_they_are() -> None:
    pairs = [str(index // 2) for index in range(100)]
    plans = [
        plan_power(pairs, 100, effect=0.1, alpha=0.05, power=0.8, assumed=Assumed(likeness=likeness))
        for likeness in (0, 0.5, 1)
    ]
    assert [plan.effective for plan in plans] == [100, pytest.approx(100 / 1.5), 50]
    assert plans[0].power > plans[1].power > plans[2].power
    assert design_effect(["a", "b", "c"], 1) == 1
    assert design_effect(["a"] * 9 + ["b"], 1) == pytest.approx(
        8.2
    )  # weighted by size: most items are in the large one


def test_a_plan_for_clusters_holds_in_simulated_runs() -> None:
    """Clusters of four whose items are alike by half: whole-cluster sign flips find what the plan says."""
    random = np.random.default_rng(3)
    runs, sizes = 300, 4
    shared = random.normal(size=(runs, 30, 1)) * 0.5**0.5
    own = random.normal(size=(runs, 30, sizes)) * 0.5**0.5
    values = 0.1 + 0.3 * (shared + own)
    clusters = [str(index // sizes) for index in range(120)]
    means, errors = values.mean(axis=(1, 2)), values.mean(axis=2).std(axis=1, ddof=1) / 30**0.5
    found = np.mean(np.abs(means / errors) > stats.t.ppf(0.975, 29))
    plan = plan_power(clusters, 120, effect=0.1, alpha=0.05, power=0.8, assumed=Assumed(spread=0.3, likeness=0.5))
    assert plan.power == pytest.approx(found, abs=0.08)


def test_a_difference_of_nothing_needs_more_items_than_there_are() -> None:
    plan = plan_power(None, 4, effect=1e-6, alpha=0.05, power=0.8, assumed=Assumed())
    assert (plan.needed, plan.detectable) == (None, None)


@given(st.integers(2, 2000), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_items_that_settle_are_more_than_there_are(items: int, half_width: float, gap: float) -> None:
    assert (items_to_settle(items, half_width, gap, 0.05, 0.8) or 0) > items


def test_nothing_settles_no_gap() -> None:
    assert items_to_settle(100, 0.1, 0.0, 0.05, 0.8) is None
    assert items_to_settle(0, 0.1, 0.2, 0.05, 0.8) is None
    assert gap_to_settle(0.2, 0.1) == 0.2
    assert gap_to_settle(0.02, 0.1) == pytest.approx(0.08)
    assert gap_to_settle(0.099, 0.1) == pytest.approx(0.025)
