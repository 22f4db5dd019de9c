from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from curate.core.rows.row import Message, Row
from evalkit.scorers.registry import AnyScorerConfig, make_scorer
from evalkit.scorers.types import Mark, Scorer, Unscored
from tests.conftest import ROOT

WORDS = st.lists(st.sampled_from(["red", "Green", "blue,", "the", "4"]), max_size=6).map(" ".join)


def make(kind: str, **settings: Any) -> Scorer:
    return make_scorer(TypeAdapter(AnyScorerConfig).validate_python({"name": kind, "kind": kind, **settings}), Path())


def item(target: str, **meta: Any) -> Row:
    return Row(id="i", messages=[Message("user", "q"), Message("assistant", target)], meta=meta)


def value(rule: Scorer, row: Row, answer: str) -> float:
    mark = rule(row, answer)
    assert isinstance(mark, Mark)
    return mark.value


@pytest.mark.parametrize(
    ("target", "answer", "right"),
    [
        ("The Beatles", "beatles.", 1),
        ("Beatles", "the  BEATLES!", 1),
        ("Beatles", "the Beatles band", 0),
        ("theatre", "atre", 0),
        ("ﬁne", "fine", 1),
        ("Straße", "STRASSE", 1),
    ],
)
def test_normalised_ignores_case_punctuation_articles_and_space(target: str, answer: str, right: int) -> None:
    assert value(make("normalised"), item(target), answer) == right


@pytest.mark.parametrize(
    ("target", "answer", "expected"),
    [
        ("in the year 1066", "1066", 2 * 1 / 4),
        ("red green blue", "blue green", 2 * 2 / 5),
        ("red red", "red", 2 * 1 / 3),
        ("red", "blue", 0),
        ("the", "an", 1),
        ("the", "red", 0),
    ],
)
def test_token_f1_by_hand(target: str, answer: str, expected: float) -> None:
    assert value(make("token_f1"), item(target), answer) == pytest.approx(expected)


@given(WORDS, WORDS)
def test_token_f1_is_symmetric_and_one_for_the_same_words(first: str, second: str) -> None:
    rule = make("token_f1")
    if not first.strip() or not second.strip():
        return
    there, back = value(rule, item(first), second), value(rule, item(second), first)
    assert there == pytest.approx(back)
    assert 0 <= there <= 1
    assert value(rule, item(first), " ".join(reversed(first.split()))) == 1
    assert (value(make("normalised"), item(first), second) == 1) <= (there == 1)


def test_the_nearest_of_several_references_counts() -> None:
    row = item("red", answers=["blue green", "red"])
    assert value(make("token_f1"), row, "green blue") == 1
    assert value(make("normalised"), row, "Red.") == 1
    assert value(make("contains"), row, "it is blue green, I think") == 1
    assert value(make("contains"), row, "it is yellow") == 0


@pytest.mark.parametrize(
    ("settings", "answer", "right", "detail"),
    [
        ({"all_of": ["sorry", "refund"]}, "Sorry, a refund is on its way.", 1, None),
        ({"all_of": ["sorry", "refund"]}, "A refund is on its way.", 0, "lacks 'sorry'"),
        ({"any_of": ["yes", "no"]}, "Perhaps.", 0, "holds none of what is wanted"),
        ({"none_of": ["guarantee"]}, "We Guarantee it.", 0, "holds 'guarantee'"),
        ({"none_of": ["guarantee"], "case": True}, "We Guarantee it.", 1, None),
        ({"all_of": ["a"], "none_of": ["b"]}, "a and b", 0, "holds 'b'"),
        ({}, "the target is here", 1, None),
    ],
)
def test_contains(settings: dict[str, Any], answer: str, right: float, detail: str | None) -> None:
    assert make("contains", **settings)(item("Target"), answer) == Mark(right, detail)


def test_patterns_are_found_or_span_the_answer() -> None:
    assert value(make("pattern", pattern=r"\d{3}-\d{4}"), item(""), "call 555-0199 now") == 1
    assert value(make("pattern", pattern=r"\d{3}-\d{4}", whole=True), item(""), "call 555-0199 now") == 0
    assert value(make("pattern", pattern=r"\d{3}-\d{4}", whole=True), item(""), "555-0199") == 1


def test_a_pattern_that_would_hang_leaves_the_answer_unscored() -> None:
    mark = make("pattern", pattern=r"(a|aa)+$")(item(""), "a" * 60 + "b")
    assert isinstance(mark, Unscored)
    assert "longer than" in mark.reason


@pytest.mark.parametrize(
    ("settings", "answer", "right"),
    [
        ({"at_most": 3}, "one two three", 1),
        ({"at_most": 3}, "one two three four", 0),
        ({"at_least": 2}, "one", 0),
        ({"unit": "characters", "at_least": 2, "at_most": 3}, "abc", 1),
        ({"unit": "characters", "at_most": 3}, "a cd", 0),
        ({"at_most": 0}, "  ", 1),
    ],
)
def test_length(settings: dict[str, Any], answer: str, right: int) -> None:
    assert value(make("length", **settings), item(""), answer) == right


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "pattern", "pattern": "("}, "not a regular expression"),
        ({"kind": "length"}, "nothing is measured"),
        ({"kind": "length", "at_least": 5, "at_most": 2}, "less than at_least"),
        ({"kind": "contains", "all": ["x"]}, "Extra inputs"),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(AnyScorerConfig).validate_python({"name": "n", **settings})


@pytest.mark.parametrize("kind", ["normalised", "token_f1", "contains", "number"])
def test_an_item_without_a_reference_is_unscored(kind: str) -> None:
    assert isinstance(make(kind)(item("  "), "anything"), Unscored)


def test_the_readme_lists_every_kind_with_its_settings() -> None:
    scorers = (ROOT / "evalkit" / "README.md").read_text().partition("\n# ")[0]
    lines = scorers.splitlines()
    documented = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    schemas = TypeAdapter(AnyScorerConfig).json_schema()["$defs"].values()
    kinds = {
        schema["properties"]["kind"]["const"]: schema["properties"]
        for schema in schemas
        if "kind" in schema["properties"]
    }
    assert documented.keys() == kinds.keys()
    for kind, properties in kinds.items():
        assert all(f"`{name}`" in documented[kind].split("|")[3] for name in properties.keys() - {"name", "kind"}), kind
