"""The ladder's rule, case by case and as invariants; and how often it is wrong about simulated contenders."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalkit.results.ladder import Constant, Ladder, LadderRules, Standing, climb_order, decide
from evalkit.stats.compare import ComparisonTerms, compare_all
from evalkit.stats.interval import mean_interval
from evalkit.suite.contenders import Rung

RUNGS: dict[str, Rung] = {"base": "base", "base+prompt": "prompt", "base+rag": "rag", "adapter": "fine-tune"}
RULES = LadderRules(useful=0.05)


def _decide(
    values: dict[str, NDArray[np.float64]], rules: LadderRules = RULES, constant: NDArray[np.float64] | None = None
) -> Ladder:
    names = list(values)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[:place]]
    comparisons = compare_all(values, pairs, ComparisonTerms("right", rules.alpha, 0, None))
    standings = []
    for name, scores in values.items():
        scored = scores[~np.isnan(scores)]
        interval = mean_interval(scored)
        mean = interval.estimate if scored.size else 0.0
        standings.append(Standing(name, RUNGS[name], mean, interval.low, interval.high, scored.size))
    if constant is None:
        return decide(standings, comparisons, rules)
    level = ComparisonTerms("right", rules.alpha, 0, None)
    against = compare_all({**values, "constant": constant}, [(name, "constant") for name in names], level)
    return decide(standings, comparisons, rules, Constant("NO", float(constant.mean()), tuple(against)))


def _nested(count: int, **rights: int) -> dict[str, NDArray[np.float64]]:
    """Contenders that are right on the first so many items: whoever is right more often broke nothing."""
    names = {"base": "base", "prompt": "base+prompt", "rag": "base+rag", "adapter": "adapter"}
    return {names[key]: (np.arange(count) < right).astype(float) for key, right in rights.items()}


@pytest.mark.parametrize(
    ("rights", "verdict", "winner"),
    [
        ({"base": 0, "prompt": 7, "rag": 12, "adapter": 64}, "fine-tune-pays", "adapter"),
        ({"base": 0, "prompt": 10, "rag": 40, "adapter": 40}, "rag-suffices", "base+rag"),
        ({"base": 0, "prompt": 90, "rag": 90, "adapter": 90}, "prompt-suffices", "base+prompt"),
        ({"base": 117, "prompt": 117, "rag": 118, "adapter": 118}, "prompt-suffices", "base"),
        ({"base": 5, "prompt": 5, "rag": 5, "adapter": 5}, "nothing-suffices", "base"),
        ({"base": 0, "prompt": 0, "rag": 0, "adapter": 6}, "inconclusive", "base"),
    ],
)
def test_each_verdict(rights: dict[str, int], verdict: str, winner: str) -> None:
    found = _decide(_nested(118, **rights))
    assert (found.verdict, found.winner) == (verdict, winner), found.because


def test_because_says_it_in_numbers() -> None:
    found = _decide(_nested(118, base=0, prompt=7, rag=12, adapter=64))
    assert found.because == (
        "The adapter is right on 54 % of 118 items; the best baseline (base+rag) on 10 %: +44 points, 95 % interval "
        "+35 to +53, p < 0.001. Prompting and retrieval reach 19 % of its gain over the base."
    )
    assert found.share_reached_by_prompting == pytest.approx(12 / 64)


@pytest.mark.parametrize("rights", [{"base": 0, "adapter": 52}, {"base": 0, "prompt": 52}, {"base": 114}])
def test_a_winner_not_shown_to_beat_one_answer_for_everything_is_inconclusive(rights: dict[str, int]) -> None:
    values = _nested(118, **rights)
    plain, best = _decide(values), max(rights.values())
    for right, verdict in ((best - 40, plain.verdict), (best - 3, "inconclusive"), (best, "inconclusive")):
        found = _decide(values, constant=(np.arange(118) < right).astype(float))
        assert (found.winner, found.verdict) == (plain.winner, verdict)
        assert "Giving NO to every item would be right on" in found.because
        assert ("is not shown to be better than that" in found.because) == (verdict == "inconclusive")
        if verdict == "inconclusive" and right < best:
            assert (found.items_to_decide or 0) > 118


def test_knowing_when_beats_knowing_how_often() -> None:
    """Two contenders as good as each other on average: one gives one answer, one knows some items of each kind."""
    one_answer = (np.arange(118) < 47).astype(float)
    knows = ((np.arange(118) < 41) | (np.arange(118) >= 98)).astype(float)
    base = np.zeros(118)
    assert _decide({"base": base, "adapter": knows}, constant=one_answer).verdict == "fine-tune-pays"
    assert _decide({"base": base, "adapter": one_answer}, constant=one_answer).verdict == "inconclusive"


def test_where_nothing_suffices_one_answer_for_everything_changes_nothing() -> None:
    values = _nested(118, base=5, prompt=5, rag=5, adapter=5)
    assert _decide(values, constant=np.ones(118)) == _decide(values)


def test_a_rung_between_two_that_beats_neither_does_not_hide_the_gain() -> None:
    """Prompt +4, retrieval +4 on that, adapter +4 on that: each step is too small, two steps are not."""
    found = _decide(_nested(400, base=100, prompt=116, rag=132, adapter=148))
    assert found.steps[0].beaten_by == ("base+rag", "adapter")
    assert found.steps[1].beaten_by == ("adapter",)
    assert found.winner == "base+rag"
    assert found.verdict == "inconclusive"
    assert found.because.startswith("The adapter against base+rag is open: +4 points")


def test_inconclusive_says_how_many_items_would_decide() -> None:
    few = _decide(_nested(40, base=0, adapter=3))
    assert few.verdict == "inconclusive"
    assert few.items_to_decide is not None
    assert few.items_to_decide > 40
    assert str(few.items_to_decide) in few.because
    enough = _decide(_nested(few.items_to_decide, base=0, adapter=round(few.items_to_decide * 3 / 40)))
    assert enough.verdict == "fine-tune-pays"


def test_a_floor_turns_a_winner_that_does_not_do_the_job_into_nothing() -> None:
    values = _nested(118, base=0, prompt=7, rag=12, adapter=64)
    assert _decide(values, replace(RULES, floor=0.4)).verdict == "fine-tune-pays"
    assert _decide(values, replace(RULES, floor=0.8)).verdict == "nothing-suffices"
    near = _decide(values, replace(RULES, floor=0.5))
    assert near.verdict == "inconclusive"
    assert near.items_to_decide is not None


def test_a_base_above_the_floor_that_nothing_beats_does_the_job() -> None:
    values = _nested(118, base=100, prompt=100, adapter=100)
    assert _decide(values).verdict == "nothing-suffices"
    assert _decide(values, replace(RULES, floor=0.7)).verdict == "prompt-suffices"


def test_missing_scores_can_take_a_verdict_away_but_never_make_one() -> None:
    values = _nested(118, base=0, prompt=7, rag=12, adapter=64)
    values["adapter"][:60] = np.nan  # the adapter's harness failed where it would have been right
    assert _decide(values).verdict != "fine-tune-pays"
    nothing = {name: np.full(10, np.nan) for name in RUNGS}
    assert _decide(nothing).verdict == "inconclusive"


def test_one_contender_alone_is_compared_with_nothing() -> None:
    assert _decide(_nested(118, base=50)).verdict == "inconclusive"
    assert _decide(_nested(118, base=110), replace(RULES, floor=0.8)).verdict == "prompt-suffices"
    assert _decide(_nested(118, prompt=110), replace(RULES, floor=0.8)).verdict == "prompt-suffices"
    assert _decide(_nested(118, prompt=50)).verdict == "inconclusive"
    for right in (2, 100, 118):
        alone = _decide(_nested(118, adapter=right), replace(RULES, floor=0.0))
        assert alone.verdict == "inconclusive"
        assert alone.because == "Only the adapter was measured: there is nothing to compare it with."


def test_cheaper_rungs_come_first_and_equal_ones_keep_their_order() -> None:
    assert climb_order(["fine-tune", "rag", "base", "rag", "prompt"]) == [2, 4, 1, 3, 0]


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_equal_contenders_are_rarely_told_apart(rate: float) -> None:
    """The false alarm that would cost most: saying that training pays where it brings nothing."""
    random = np.random.default_rng(1)
    verdicts = [
        _decide({name: (random.random(118) < rate).astype(float) for name in RUNGS}).verdict for _ in range(200)
    ]
    assert verdicts.count("fine-tune-pays") / 200 <= 0.05


def test_a_large_gain_is_found() -> None:
    random = np.random.default_rng(2)
    rates = dict(zip(RUNGS, (0.0, 0.06, 0.1, 0.4), strict=True))
    verdicts = [
        _decide({name: (random.random(118) < rate).astype(float) for name, rate in rates.items()}).verdict
        for _ in range(100)
    ]
    assert verdicts.count("fine-tune-pays") >= 95


outcomes = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 4), min_size=1, max_size=60)


@given(outcomes)
def test_the_winner_is_the_cheapest_that_nothing_beats(rows: list[tuple[float, ...]]) -> None:
    found = _decide(dict(zip(RUNGS, np.array(rows).T, strict=True)))
    unbeaten = [step.contender for step in found.steps if not step.beaten_by]
    assert found.winner == unbeaten[0]
    assert found.because.endswith(".")
    if found.verdict == "fine-tune-pays":
        assert all(step.beaten_by for step in found.steps[:3])


@given(outcomes)
def test_an_adapter_that_gets_worse_never_starts_to_pay(rows: list[tuple[float, ...]]) -> None:
    values = dict(zip(RUNGS, np.array(rows).T, strict=True))
    before = _decide(values)
    after = _decide({**values, "adapter": np.zeros(len(rows))})
    assert after.verdict != "fine-tune-pays"
    assert before.share_reached_by_prompting is None or before.verdict != "nothing-suffices"


def test_every_step_names_the_best_of_the_cheaper_ones() -> None:
    found = _decide(_nested(118, base=0, prompt=12, rag=7, adapter=64))
    assert [step.against for step in found.steps] == [None, "base", "base+prompt", "base+prompt"]
    assert list(itertools.chain(step.outcome for step in found.steps))[-1] == "better"
