"""Corrected by labels of every contender the truth is covered; by labels of one alone the judge's favour stays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evalkit.stats.corrected import corrected_difference, corrected_mean
from evalkit.stats.interval import difference_interval

Floats = NDArray[np.float64]
ITEMS, LABELS, RUNS = 500, 100, 500


def _grades(random: np.random.Generator, rate: float, favour: float) -> tuple[Floats, Floats]:
    """What people would say of every answer, and the judge: right in 85 %, and then kinder by `favour` points."""
    truth = (random.random(ITEMS) < rate).astype(float)
    slips = random.random(ITEMS) < 0.15
    judged = np.where(slips, 1 - truth, truth)
    fails = 1 - (0.85 * rate + 0.15 * (1 - rate))
    kinder = random.random(ITEMS) < favour / fails
    return truth, np.where((judged == 0) & kinder, 1.0, judged)


def _labelled(random: np.random.Generator, truth: Floats, count: int = LABELS) -> Floats:
    labels = np.full(truth.size, np.nan)
    chosen = random.choice(truth.size, count, replace=False)
    labels[chosen] = truth[chosen]
    return labels


def test_a_judge_that_is_kinder_to_the_tuned_style_is_corrected_by_labels_of_each_contender() -> None:
    """The judge reports +8 points where the truth is 0."""
    random = np.random.default_rng(4)
    reported, covered, on_base_alone, favour_seen = [], 0, 0, 0
    for _ in range(RUNS):
        (tuned, judged_tuned), (base, judged_base) = _grades(random, 0.6, 0.08), _grades(random, 0.6, 0.0)
        labels_tuned, labels_base = _labelled(random, tuned), _labelled(random, base)
        found = corrected_difference((judged_tuned, labels_tuned), (judged_base, labels_base))
        assert found is not None
        reported.append(found.judged)
        covered += found.low <= 0 <= found.high
        favour_seen += found.bias_low <= 0.08 <= found.bias_high
        # The base's labels correct both contenders by the same amount, which their difference doesn't notice.
        raw = difference_interval(judged_tuned - judged_base)
        on_base_alone += raw.low <= 0 <= raw.high
    assert np.mean(reported) == pytest.approx(0.08, abs=0.005)
    assert 0.93 <= covered / RUNS <= 0.98
    assert 0.93 <= favour_seen / RUNS <= 0.985
    assert on_base_alone / RUNS < 0.35


@pytest.mark.parametrize(("rate", "count"), [(0.5, 60), (0.9, 60), (0.98, 100), (0.3, 200)])
def test_a_corrected_mean_covers_what_it_says(rate: float, count: int) -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(RUNS):
        truth, judged = _grades(random, rate, 0.01)
        found = corrected_mean(judged, _labelled(random, truth, count))
        assert found is not None
        covered += found.low <= rate <= found.high
    assert covered / RUNS >= 0.93


def test_labels_on_the_same_items_and_clusters_cover_too() -> None:
    """Answers of a cluster share their fate, and people labelled the same items for both contenders."""
    random = np.random.default_rng(8)
    clusters = [str(index // 5) for index in range(ITEMS)]
    covered = blind = 0
    for _ in range(RUNS):
        shared = np.repeat(random.random(ITEMS // 5), 5)
        tuned, base = ((shared < rate).astype(float) for rate in (0.7, 0.6))
        judged = [np.where(random.random(ITEMS) < 0.1, 1 - truth, truth) for truth in (tuned, base)]
        has = np.isin(np.arange(ITEMS) // 5, random.choice(ITEMS // 5, 40, replace=False))
        labels = [np.where(has, truth, np.nan) for truth in (tuned, base)]
        found = corrected_difference((judged[0], labels[0]), (judged[1], labels[1]), clusters)
        naive = corrected_difference((judged[0], labels[0]), (judged[1], labels[1]))
        assert found is not None
        assert naive is not None
        covered += found.low <= 0.1 <= found.high
        blind += naive.low <= 0.1 <= naive.high
    assert covered / RUNS >= 0.93
    assert blind < covered


def test_a_good_judge_narrows_what_people_alone_would_know() -> None:
    random = np.random.default_rng(9)
    truth = (random.random(2000) < 0.6).astype(float)
    judged = np.where(random.random(2000) < 0.05, 1 - truth, truth)
    labels = _labelled(random, truth)
    found, alone = corrected_mean(judged, labels), corrected_mean(np.full(2000, 0.5), labels)
    assert found is not None
    assert alone is not None
    assert found.high - found.low < 0.6 * (alone.high - alone.low)
    assert alone.estimate == pytest.approx(float(np.nanmean(labels)))


def test_the_weight_one_is_the_textbooks_estimator() -> None:
    """Angelopoulos et al. 2023, algorithm 1: the judge's mean less its bias where labelled."""
    judged = np.array([1, 1, 0, 1, 0, 0, 1, 1, 0, 1.0])
    labels = np.array([1, 1, 0, 1, 0] + [np.nan] * 5)
    found = corrected_mean(judged, labels)
    assert found is not None
    assert found.weight == 1.0
    assert found.estimate == pytest.approx(judged.mean() - (judged[:5] - labels[:5]).mean())


def test_a_missing_judgment_widens_the_interval_by_its_share() -> None:
    random = np.random.default_rng(10)
    truth, judged = _grades(random, 0.5, 0.0)
    labels = _labelled(random, truth)
    gaps = np.where(np.arange(ITEMS) < 50, np.nan, judged)
    found = corrected_mean(gaps, labels)
    assert found is not None
    assert found.missing == pytest.approx(0.1)
    assert found.high - found.low > 0.2


@pytest.mark.parametrize("labels", [0, 1])
def test_without_labels_of_a_contender_there_is_no_correction(labels: int) -> None:
    random = np.random.default_rng(11)
    truth, judged = _grades(random, 0.5, 0.0)
    few = _labelled(random, truth, labels)
    assert corrected_mean(judged, few) is None
    assert corrected_difference((judged, _labelled(random, truth)), (judged, few)) is None
