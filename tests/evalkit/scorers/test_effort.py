"""Latency and cost against their limits; and rules of every kind beside one another."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation
from evalkit.scorers.registry import AnyScorerConfig, make_scorer, scorer_version
from evalkit.scorers.score_all import constant_answer, score_all
from evalkit.scorers.types import GenerationScorer

ITEM = Row(id="1", messages=[Message("user", "q"), Message("assistant", "The train leaves at noon.")])
PRICE = {"prompt": 2, "completion": 10, "as_of": date(2026, 11, 1)}
CONFIG: TypeAdapter[AnyScorerConfig] = TypeAdapter(AnyScorerConfig)


def score(generation: Generation, **settings: Any) -> Any:
    config = CONFIG.validate_python({"name": "s", **settings})
    return score_all([generation], {"1": ITEM}, {"s": make_scorer(config, Path())})[0]


def answer(**fields: Any) -> Generation:
    return Generation(item="1", contender="c", **fields)


def test_latency_has_a_limit() -> None:
    assert score(answer(latency_ms=90.0), kind="latency", at_most_ms=100).value == 1
    late = score(answer(latency_ms=110.0), kind="latency", at_most_ms=100)
    assert (late.value, late.detail) == (0, "110 ms")
    assert score(answer(), kind="latency", at_most_ms=100).unscored == "no time was taken"


def test_cost_has_a_limit_in_tokens_or_in_money() -> None:
    made = answer(prompt_tokens=1000, completion_tokens=100)
    assert score(made, kind="cost", at_most_tokens=1100).value == 1
    assert score(made, kind="cost", at_most_tokens=1099).detail == "1100 tokens"
    assert score(made, kind="cost", at_most=0.0031, price=PRICE).value == 1
    assert score(made, kind="cost", at_most=0.0029, price=PRICE).detail == "0.003 USD"
    assert score(answer(), kind="cost", at_most_tokens=9).unscored == "no tokens were counted"


@pytest.mark.parametrize("settings", [{}, {"at_most": 1.0}, {"at_most_tokens": 5, "price": PRICE}])
def test_a_cost_needs_one_limit_and_money_a_price(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python({"name": "s", "kind": "cost", **settings})


def test_meaning_is_graded_or_has_a_limit() -> None:
    near, far = "At noon the train departs.", "Otters eat fish in rivers."
    assert score(answer(text=near), kind="semantic").value > 0.8
    assert score(answer(text=far), kind="semantic").value < 0.3
    assert score(answer(text=near), kind="semantic", at_least=0.8).value == 1
    assert score(answer(text=far), kind="semantic", at_least=0.8).value == 0
    assert score(answer(text=" "), kind="semantic").value == 0


def test_answers_scored_together_keep_their_places() -> None:
    generations = [answer(text="The train leaves at noon."), answer(error="gone"), answer(text="Otters.")]
    rule = make_scorer(CONFIG.validate_python({"name": "s", "kind": "semantic"}), Path())
    first, lost, last = score_all(generations, {"1": ITEM}, {"s": rule})
    assert (first.value, lost.unscored) == (1, "no answer: gone")
    assert last.value is not None
    assert last.value < 0.5
    constant = constant_answer([ITEM], [ITEM, ITEM], rule)
    assert constant is not None
    assert constant.values == (1.0, 1.0)


def test_every_rule_has_a_version_and_a_users_is_that_of_its_file(tmp_path: Path) -> None:
    assert scorer_version(CONFIG.validate_python({"name": "s", "kind": "exact"}), tmp_path) == "exact 1"
    (tmp_path / "mine.py").write_text("def f(item, answer): return 1\n")
    config = CONFIG.validate_python({"name": "s", "kind": "function", "function": "mine.py:f"})
    before = scorer_version(config, tmp_path)
    (tmp_path / "mine.py").write_text("def f(item, answer): return 0\n")
    assert scorer_version(config, tmp_path) != before
    assert not isinstance(make_scorer(config, tmp_path), GenerationScorer)
