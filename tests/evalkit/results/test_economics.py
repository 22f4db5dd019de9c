"""Costs, shares of the gain, and when training is paid back; worked out by hand and by simulation."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from evalkit.backends.endpoint import Price
from evalkit.results.economics import Expense, break_even, economics, gain
from evalkit.stats.share import share_of
from tests.evalkit.recorded_run import record_run

PRICE = Price(prompt=2.0, completion=10.0, as_of=date(2026, 11, 1))
BASE = Expense("base", "base", 0.0, 100, 10_000, 5_000, PRICE)
RAG = Expense("base+rag", "rag", 0.2, 100, 60_000, 4_000, PRICE)
TUNED = Expense("adapter", "fine-tune", 0.5, 100, 10_000, 4_000, PRICE, training=30.0, trained_tokens=1_000_000)


def test_costs_of_a_request_and_of_a_right_answer() -> None:
    _, rag, tuned = economics([BASE, RAG, TUNED], _values(), None, 0.05).contenders
    assert rag.cost_per_1000 == pytest.approx(1000 * (600 * 2 + 40 * 10) / 1e6)
    assert tuned.cost_per_correct == pytest.approx((100 * 2 + 40 * 10) / 1e6 / 0.5)
    assert tuned.tokens_per_correct == pytest.approx(140 / 0.5)


def test_a_contender_that_is_never_right_has_no_cost_of_a_right_answer() -> None:
    costs = economics([BASE], {"base": np.zeros(100)}, None, 0.05).contenders[0]
    assert costs.cost_per_correct is None
    assert costs.cost_per_1000 > 0


def test_a_shorter_prompt_pays_training_back() -> None:
    (found,) = break_even([BASE, RAG, TUNED])
    assert (found.contender, found.against, found.unit) == ("adapter", "base+rag", "money")
    assert found.requests == 30_000  # 30 over 0.0016 less 0.0006 a request


def test_without_prices_work_is_compared_in_tokens() -> None:
    (found,) = break_even([RAG, replace(TUNED, price=None)])
    assert (found.unit, found.requests) == ("tokens", 6_000)  # 3 x 1,000,000 over 640 less 140 a request


def test_longer_requests_never_pay_training_back() -> None:
    (found,) = break_even([replace(RAG, prompt_tokens=1_000), TUNED])
    assert found.requests is None
    assert "as much or more" in found.because


def test_nothing_trained_has_nothing_to_pay_back() -> None:
    assert break_even([BASE, RAG]) == []
    assert break_even([RAG, replace(TUNED, training=None, trained_tokens=None)]) == []


def _values() -> dict[str, np.ndarray]:
    return {name: (np.arange(100) < right).astype(float) for name, right in (("base", 0), ("base+rag", 20),
                                                                             ("adapter", 50))}  # fmt: skip


def test_the_share_of_the_gain_that_is_had_without_training() -> None:
    found = gain([BASE, RAG, TUNED], _values(), None, 0.05)
    assert found is not None
    (rag,) = found.reached
    assert (rag.rung, rag.share, rag.reaches_goal) == ("rag", 0.4, False)
    assert rag.low < 0.4 < rag.high
    assert gain([BASE, RAG, replace(TUNED, mean=0.0)], _values(), None, 0.05) is None
    assert gain([BASE, TUNED], _values(), None, 0.05) is None


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_of_a_share_covers_what_it_says(clustered: bool) -> None:
    """The whole is right on 60 % of the items where the base is not, the part on half of these and a few others."""
    random = np.random.default_rng(5)
    covered, runs = 0, 2000
    for _ in range(runs):
        units = random.random(60 if clustered else 120)
        draw = np.repeat(units, 2) if clustered else units
        whole = (draw < 0.6).astype(float)
        part = ((draw < 0.3) | (draw > 0.94)).astype(float)
        codes = np.repeat(np.arange(60), 2) if clustered else None
        found = share_of(part, whole, codes, 0.05)
        assert found is not None
        covered += found[1] <= 0.6 <= found[2]
    assert covered / runs >= 0.95 - 2 * (0.05 * 0.95 / runs) ** 0.5


def test_a_share_of_nothing_says_nothing() -> None:
    assert share_of(np.ones(9), np.zeros(9), None, 0.05) is None
    noise = np.array([1.0, -1.0] * 20 + [1.0])
    assert share_of(noise, noise, None, 0.05) is None


def test_a_result_says_what_it_costs() -> None:
    run = record_run()
    priced = replace(run, contenders=tuple(replace(info, price=PRICE, training_cost=2.0) for info in run.contenders))
    found = priced.result()["economics"]
    assert (found["currency"], found["as_of"]) == ("USD", "2026-11-01")
    assert [one["rung"] for one in found["gain"]["reached"]] == ["prompt", "rag"]
    assert all(one["requests"] > 0 for one in found["environment"]["break_even"])
    assert run.result()["economics"]["contenders"][0]["cost_per_1000"] is None
