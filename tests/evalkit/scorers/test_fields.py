import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.types import Mark, Unscored
from tests.evalkit.scorers.test_text import item, make, value

TARGET = {"city": "San José", "people": 12, "tags": ["a", "b"], "paid": True, "note": "late arrival"}
FIELDS = {"city": "normalised", "people": "number", "tags": "set", "paid": "exact", "note": "fuzzy"}


def test_the_target_itself_is_right_in_every_field() -> None:
    assert make("fields", fields=FIELDS)(item(json.dumps(TARGET)), json.dumps(TARGET)) == Mark(1.0)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"city": "san josé!"}, 1),
        ({"city": "Oslo"}, 4 / 5),
        ({"people": "12"}, 1),
        ({"people": 12.0}, 1),
        ({"people": 13}, 4 / 5),
        ({"tags": ["b", "a"]}, 1),
        ({"tags": ["a"]}, (4 + 2 / 3) / 5),
        ({"tags": "a"}, (4 + 2 / 3) / 5),
        ({"paid": 1}, 4 / 5),
        ({"note": "late arrivals"}, (4 + 2 * 12 / 25) / 5),
        ({"more": "does not matter"}, 1),
    ],
)
def test_each_field_is_compared_in_its_own_way(changed: dict[str, object], expected: float) -> None:
    rule = make("fields", fields=FIELDS)
    assert value(rule, item(json.dumps(TARGET)), json.dumps(TARGET | changed)) == pytest.approx(expected)


def test_a_field_is_right_where_both_lack_it_and_wrong_where_one_does() -> None:
    rule = make("fields", fields={"a": "exact", "b": "exact"})
    assert value(rule, item('{"a": 1}'), '{"a": 1}') == 1
    assert rule(item('{"a": 1}'), '{"a": 1, "b": 2}') == Mark(0.5, "not right: b")
    assert rule(item('{"a": 1, "b": 2}'), '{"a": 1}') == Mark(0.5, "not right: b")


def test_talk_around_the_object_counts_as_the_suite_says() -> None:
    row, answer = item('{"a": 1}'), 'Here: {"a": 1}'
    assert value(make("fields", fields={"a": "exact"}), row, answer) == 0
    assert value(make("fields", fields={"a": "exact"}, reading="first"), row, answer) == 1


def test_an_item_whose_target_is_no_object_is_unscored() -> None:
    assert isinstance(make("fields", fields={"a": "exact"})(item("plain"), "{}"), Unscored)


@given(st.dictionaries(st.sampled_from("abcde"), st.integers() | st.text() | st.lists(st.integers()), max_size=5))
def test_marks_lie_between_zero_and_one(answer: dict[str, object]) -> None:
    kinds = dict(zip("abcde", ("exact", "normalised", "fuzzy", "number", "set"), strict=True))
    target = {"a": 1, "b": "x y", "c": "abc", "d": 3, "e": [1, 2]}
    assert 0 <= value(make("fields", fields=kinds), item(json.dumps(target)), json.dumps(answer)) <= 1
