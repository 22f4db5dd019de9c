"""p-values of a family, and of a climb: agreement with Holm, and false alarms over the whole climb."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.stats.compare import Comparison, ComparisonTerms, adjust_over, compare_all
from evalkit.stats.significance import climbing_p, holm

NAMES = ("base", "prompt", "rag", "adapter")
PAIRS = [(a, b) for place, a in enumerate(NAMES) for b in NAMES[:place]]


def _comparisons() -> list[Comparison]:
    random = np.random.default_rng(5)
    values = {name: (random.random(60) < 0.2 + place / 10).astype(float) for place, name in enumerate(NAMES)}
    return compare_all(values, PAIRS, ComparisonTerms("right", 0.05, 0, None))


def test_without_a_family_all_are_adjusted_over_all() -> None:
    found = _comparisons()
    assert [one.p_adjusted for one in found] == holm([one.p for one in found])
    assert all(one.declared for one in found)


def test_a_declared_family_is_adjusted_over_itself_and_the_rest_over_everything() -> None:
    made = _comparisons()
    found = adjust_over(made, {("adapter", "rag", "right"), ("adapter", "prompt", "right")})
    declared = [one for one in found if one.declared]
    assert [(one.a, one.b) for one in declared] == [("adapter", "prompt"), ("adapter", "rag")]
    assert [one.p_adjusted for one in declared] == holm([one.p for one in declared])
    others = [(one.p_adjusted, before.p_adjusted) for one, before in zip(found, made, strict=True) if not one.declared]
    assert all(after == before for after, before in others)


def test_the_same_names_on_another_metric_are_another_claim() -> None:
    made = _comparisons()
    other = [msgspec.structs.replace(one, metric="short") for one in made]
    found = adjust_over([*made, *other], {("adapter", "rag", "short")})
    assert [one.metric for one in found if one.declared] == ["short"]


def _climb_p(p: np.ndarray) -> dict[tuple[str, str], float]:
    return climbing_p(NAMES, dict(zip(PAIRS, map(float, p), strict=True)))


def test_a_climb_asks_the_next_rung_only_where_this_one_is_beaten() -> None:
    p = dict.fromkeys(PAIRS, 0.001)
    assert climbing_p(NAMES, p)["adapter", "rag"] == pytest.approx(0.003)
    stuck = {**p, ("prompt", "base"): 0.4, ("rag", "base"): 0.3, ("adapter", "base"): 0.2}
    assert climbing_p(NAMES, stuck)["adapter", "rag"] == pytest.approx(0.6)
    assert climbing_p(["base"], {}) == {}


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_a_climb_never_makes_a_p_smaller_and_asks_less_than_holm_over_all(p: list[float]) -> None:
    found = _climb_p(np.array(p))
    for pair, raw in zip(PAIRS, p, strict=True):
        assert raw <= found[pair] <= 1
    # The first rung pays for its own questions alone.
    over_all = dict(zip(PAIRS, holm(p), strict=True))
    assert all(found[name, "base"] <= over_all[name, "base"] + 1e-12 for name in NAMES[1:])


def _errors(rates: tuple[float, ...], level: float, runs: int = 1500) -> float:
    """How often anything on the climb is called better that is not, over independent contenders of these rates."""
    random = np.random.default_rng(6)
    wrong = 0
    for _ in range(runs):
        right = random.random((4, 80)) < np.array(rates)[:, None]
        p = {}
        for a, b in PAIRS:
            ours, theirs = right[NAMES.index(a)], right[NAMES.index(b)]
            up, down = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            p[a, b] = _TABLE[min(up, down), up + down]
        found = climbing_p(NAMES, p)
        wrong += any(
            found[a, b] <= level and rates[NAMES.index(a)] <= rates[NAMES.index(b)]
            for a, b in itertools.product(NAMES, NAMES)
            if (a, b) in found
        )
    return wrong / runs


def _table() -> np.ndarray:
    from scipy import stats

    few, all_ = np.meshgrid(np.arange(81), np.arange(81), indexing="ij")
    return np.minimum(1, 2 * stats.binom.cdf(few, all_, 0.5))


_TABLE = _table()


@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.3, 0.3), (0.1, 0.5, 0.5, 0.5), (0.1, 0.3, 0.6, 0.6)])
def test_a_whole_climb_raises_false_alarms_no_more_often_than_it_says(rates: tuple[float, ...]) -> None:
    assert _errors(rates, 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 1500) ** 0.5
