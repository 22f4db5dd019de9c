"""The gate's promise, by simulation: it seldom ships a real loss, and with enough items it decides."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evalkit.gate.bounds import RuleBounds, decide, difference_bounds, items_to_decide, mean_bounds
from evalkit.stats.significance import sign_flip_p

Floats = NDArray[np.float64]
RUNS = 800


def _pair(random: np.random.Generator, count: int, gain: float, loss: float) -> tuple[Floats, Floats]:
    """The adapter's and the baseline's scores: so many items get better, so many worse; the rest stay as they were."""
    change = random.choice([1, -1, 0], count, p=[gain, loss, 1 - gain - loss])
    stay = (random.random(count) < 0.8).astype(float)
    return np.where(change > 0, 1.0, np.where(change < 0, 0.0, stay)), np.where(
        change > 0, 0.0, np.where(change < 0, 1.0, stay)
    )


def _outcome(ours: Floats, theirs: Floats, margin: float = 0.03) -> str:
    return decide(difference_bounds(ours, theirs, None, 0.05), -margin, 0.0)


def _naive_gate_ships(ours: Floats, theirs: Floats) -> bool:
    """Stops a release for a drop of 3 points that is significant."""
    differences = ours - theirs
    return not (differences.mean() <= -0.03 and sign_flip_p(differences) < 0.05)


def test_a_loss_of_six_points_is_shipped_by_a_gate_that_wants_it_proven_and_not_by_this_one() -> None:
    random = np.random.default_rng(6)
    pairs = [_pair(random, 100, 0.07, 0.13) for _ in range(RUNS)]
    assert np.mean([_naive_gate_ships(*pair) for pair in pairs]) >= 0.7
    assert np.mean([_outcome(*pair) == "pass" for pair in pairs]) <= 0.02


@pytest.mark.parametrize(("gain", "loss"), [(0.02, 0.05), (0.1, 0.13), (0.0, 0.03)])
def test_a_loss_as_large_as_the_margin_passes_as_seldom_as_the_level_says(gain: float, loss: float) -> None:
    random = np.random.default_rng(7)
    passed = [_outcome(*_pair(random, 400, gain, loss)) == "pass" for _ in range(RUNS)]
    assert np.mean(passed) <= 0.05 + 2 * (0.05 * 0.95 / RUNS) ** 0.5


def test_an_equal_model_seldom_fails_and_passes_once_there_are_enough_items() -> None:
    random = np.random.default_rng(8)
    few = [_outcome(*_pair(random, 100, 0.03, 0.03)) for _ in range(RUNS)]
    many = [_outcome(*_pair(random, 1000, 0.03, 0.03)) for _ in range(200)]
    assert few.count("fail") / RUNS <= 0.065
    assert few.count("inconclusive") / RUNS > 0.5  # 100 items can't show a margin of 3 points, and it says so
    assert many.count("pass") / 200 >= 0.9


def test_a_loss_that_is_proven_fails() -> None:
    random = np.random.default_rng(9)
    found = [_outcome(*_pair(random, 200, 0.02, 0.2)) for _ in range(200)]
    assert found.count("fail") / 200 >= 0.95


def test_the_number_of_items_that_would_decide_does_decide() -> None:
    random = np.random.default_rng(10)
    bounds = RuleBounds(0.0, -0.045, 0.045, 100, 0, "")
    wanted = items_to_decide(bounds, -0.03, 0.0, 0.05)
    assert wanted is not None
    passed = [_outcome(*_pair(random, wanted, 0.037, 0.037)) == "pass" for _ in range(200)]
    assert 0.65 <= np.mean(passed) <= 0.95


def test_what_is_missing_counts_against_the_contender_and_never_for_it() -> None:
    ours, theirs = np.ones(200), np.ones(200)
    whole = difference_bounds(ours, theirs, None, 0.05)
    ours[:20] = np.nan
    gaps = difference_bounds(ours, theirs, None, 0.05)
    assert decide(whole, -0.03, 0.0) == "pass"
    assert decide(gaps, -0.03, 0.0) == "inconclusive"
    assert gaps.missing == 20
    assert gaps.low < -0.1
    assert gaps.high >= 0  # nor does it prove a loss
    assert items_to_decide(gaps, -0.03, 0.0, 0.05) is None  # more items would not help; scores would


def test_a_mean_needs_its_bound_above_the_value() -> None:
    values = np.array([1.0] * 95 + [0.0] * 5)
    assert decide(mean_bounds(values, None, 0.05), 0.9, 0.9) == "inconclusive"
    assert decide(mean_bounds(values, None, 0.05), 0.88, 0.88) == "pass"
    assert decide(mean_bounds(values, None, 0.05), 0.99, 0.99) == "fail"
